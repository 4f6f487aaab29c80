/**
 * What a request is about comes to be, or to its end, with the very batch in which it is decided, and by what was read before
 * it cannot be told what is so then. It is decided again after the batch, with whatever else came too soon.
 */
export class TooSoon extends Error {
  override readonly name = 'TooSoon';
}
