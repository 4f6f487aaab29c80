/** The request is no OTLP message: nothing of it is kept. The message says what is wrong and may be shown to the client. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** The request holds more than one request may. Nothing of it is kept. */
export class TooMuch extends Error {
  override readonly name = 'TooMuch';
}

export const tooMany = (what: string): TooMuch => new TooMuch(`The request holds ${what}: send smaller batches.`);
