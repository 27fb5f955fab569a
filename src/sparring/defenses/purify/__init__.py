"""Stages that replace an image by one that a model of images finds likely, one file an idea."""
