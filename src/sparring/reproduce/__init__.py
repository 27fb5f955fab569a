"""The experiments of the source report, end to end: `sparring reproduce NAME`."""
