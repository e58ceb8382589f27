"""Silent Witness public REST API, newest generation of its documentation."""
