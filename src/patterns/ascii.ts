// oxlint-disable-next-line no-control-regex -- the ASCII range, for speed
const ASCII = /^[\x00-\x7f]*$/;

/** Most texts are: nothing of it composes, and folding it is lower case. */
export const isAscii = (text: string): boolean => ASCII.test(text);
