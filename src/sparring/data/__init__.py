"""Data: `load_data("mnist5k")` gives labelled images in [0, 1]; `list_data()` says what there is."""

from sparring.data import cifar10, csv_file, folder, mnist, mnist5k, npz, poisoned, webdataset
from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.data.pixels import Images
from sparring.data.registry import DataInfo, Source, list_data, load_data, register

for _source in (
    mnist5k.SOURCE,
    mnist.MNIST_SOURCE,
    mnist.FASHION_MNIST_SOURCE,
    cifar10.SOURCE,
    folder.SOURCE,
    npz.SOURCE,
    csv_file.SOURCE,
    webdataset.SOURCE,
    poisoned.SOURCE,
):
    register(_source)

__all__ = ["DataError", "DataInfo", "ImageData", "Images", "Source", "list_data", "load_data", "register"]
