const UNSTORABLE = /[\0\ud800-\udfff]/;

/** Whether PostgreSQL takes a text as it is. May say no to one that it would take. */
export function isStorable(text: string): boolean {
  return !UNSTORABLE.test(text);
}

/** Text that PostgreSQL takes: NUL and lone surrogates become U+FFFD. */
export function storable(text: string): string {
  return isStorable(text) ? text : text.toWellFormed().replaceAll('\0', '\ufffd');
}
