"""The verbs of the ``mmjax`` command, one thin file each."""
