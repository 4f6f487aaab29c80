import { invalid } from '../../platform/errors.ts';

/** Clocks of other machines are this far off without anybody being wrong. */
const TOLERANCE_MS = 60_000;

/**
 * The moment that a client names, now if it names none. A clock that is a little fast is taken for now.
 * @throws Problem 422 `time_in_future`
 */
export function notInFuture(field: string, text: string | null | undefined, now: Date): Date {
  if (text === null || text === undefined) return now;
  const moment = new Date(text);
  if (moment.getTime() > now.getTime() + TOLERANCE_MS)
    throw invalid('time_in_future', `body.${field}: ${moment.toISOString()} has not come yet.`);
  return moment < now ? moment : now;
}
