/**
 * A request that may overlap more leases than can be looked at under the repo's lock, or intricate ones. It is looked up
 * without the lock first (`searchBroadly`), and decided with what was found.
 */
export class TooBroad extends Error {
  override readonly name: string = 'TooBroad';
}

/** That with patterns which take too long to compare. Where a search has been made, another would tell no more. */
export class TooIntricate extends TooBroad {
  override readonly name = 'TooIntricate';
}

export const tooIntricate = (): TooIntricate =>
  new TooIntricate('the patterns are too intricate to be compared under a lock');
