"""One model and many clients: requests wait for their turn, and no more of them than a bound."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from starlette.exceptions import HTTPException

from mulkinet.errors import SkippedInput
from mulkinet.serve.decoding import Decoder

__all__ = ["Work"]

_RETRY_SEC = 5
# Of these one may hang in a file that is made to do harm, until its time is up.
_DECODERS = 2


class Work:
    """What is to be done for requests.

    Attributes:
        limit: Requests that may wait or be worked on; more of them are answered with 503.
        n_pending: Requests that wait or are worked on.

    Args:
        limit: As above.
        max_sec: Longest sound to decode.
        decode_sec: Time limit of decoding one.
    """

    def __init__(self, limit, max_sec, decode_sec):
        self.limit = limit
        self.n_pending = 0
        self._model_thread = ThreadPoolExecutor(1, "model")
        self._decoder_threads = ThreadPoolExecutor(_DECODERS, "decoder")
        self._decoders = [Decoder(max_sec, decode_sec) for _ in range(_DECODERS)]

    async def __aenter__(self):
        """Takes a place among the requests that wait.

        Raises:
            HTTPException: 503, where there is none.
        """
        if self.n_pending >= self.limit:
            raise HTTPException(
                503,
                f"expected a place among {self.limit} requests, found all taken; try again in a few seconds",
                {"retry-after": str(_RETRY_SEC)},
            )
        self.n_pending += 1
        return self

    async def __aexit__(self, *_):
        self.n_pending -= 1

    async def decode(self, path):
        """Samples of an uploaded file (pathlib.Path): (n_samples,) float32 at 44.1 kHz.

        Raises:
            HTTPException: 415, where it is no sound that can be used.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._decoder_threads, self._decode, path)
        except SkippedInput as error:
            raise HTTPException(415, str(error)) from error

    async def run(self, function, *args):
        """Calls a function that takes the model, or much time, when its turn comes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._model_thread, function, *args)

    def close(self):
        """Waits for what is being done, and ends the processes."""
        self._model_thread.shutdown()
        self._decoder_threads.shutdown()
        for decoder in self._decoders:
            decoder.close()

    def _decode(self, path):
        # As many threads as decoders: there is always one left.
        decoder = self._decoders.pop()
        try:
            return decoder.decode(path)
        finally:
            self._decoders.append(decoder)
