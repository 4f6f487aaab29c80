/** A path as evidence has it, taken apart. */
export interface EvidencePath {
  readonly segments: readonly string[];
  /** Something may stand before the repo's own root: a container's directory, a bundler's scheme, a module's host. */
  readonly prefixed: boolean;
}

/** Segments of a prefix that are tried: `/home/runner/work/shop/shop/src/pay.ts`. */
export const MAX_PREFIX = 8;

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/+/;
const DRIVE = /^[A-Za-z]:[\\/]/;

/**
 * Reads a path out of a stack trace: separators of both kinds, schemes (`file:`, `webpack:`), drives, dot segments.
 * `..` is dropped with what stood before it, since the repo's root is not known here.
 */
export function readEvidencePath(text: string): EvidencePath {
  const prefixed = SCHEME.test(text) || DRIVE.test(text) || /^[\\/]/.test(text);
  const bare = text.replace(SCHEME, '').replace(DRIVE, '');
  const segments: string[] = [];
  for (const segment of bare.normalize('NFC').split(/[\\/]+/)) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') segments.pop();
    else segments.push(segment);
  }
  return { segments, prefixed: prefixed || isHost(segments) };
}

/** `github.com/acme/shop/pay.go`: the first of several segments looks like a host name. */
function isHost(segments: readonly string[]): boolean {
  return segments.length > 1 && /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}$/.test(segments[0]!);
}
