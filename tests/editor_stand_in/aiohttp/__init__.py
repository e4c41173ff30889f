class web:
    Request = Response = object
