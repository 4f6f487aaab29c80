/**
 * What the model has found and the server does not do right yet: left out here, so that the rest is looked at.
 * `MODEL_STRICT=1` leaves nothing out. Take an entry away with the fault it names.
 */
const known = process.env['MODEL_STRICT'] === undefined;

/**
 * An exclusive request of a run that holds its paths shared goes before earlier waiters who would share, and so do not wait
 * for that run: now they do, and if that run waits for them, nobody was told of the deadlock.
 */
export const UPGRADE_PASSES_SHARED = known;
