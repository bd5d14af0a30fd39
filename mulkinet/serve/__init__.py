"""An index as a small local web application, with a JSON interface.

    app         routes: what is asked, what is answered
    schema      what the JSON holds; the OpenAPI description is made of it
    work        one thing at a time on the model, a bounded number waiting
    decoding    uploads to samples, in processes that may be killed
    limits      size and pace of requests
    connection  headers that never end
    catalogue   the collection: searched by text, its audio by id
    server      the socket, from start to stop

`mulkinet serve` is the door to it.
"""

__all__ = []
