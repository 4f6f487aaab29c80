/**
 * A request that may overlap more leases than can be looked at under the repo's lock, or intricate ones. It is looked up
 * without the lock first (`searchBroadly`), and decided with what was found.
 */
export class TooBroad extends Error {
  override readonly name = 'TooBroad';
}

export const tooIntricate = (): TooBroad => new TooBroad('the patterns are too intricate to be compared under a lock');
