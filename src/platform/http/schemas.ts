import { z } from 'zod';
import { type CodeOf, PROBLEM_CODES, problemCodesTable } from '../problem-codes.ts';
import { MAX_REPO_NAME, REPO_NAME } from '../repo-name.ts';

/** Text a client may store: no NUL and no lone surrogate, which PostgreSQL refuses, and a stated length. */
export const text = (maxLength: number, minLength = 1) =>
  z
    .string()
    .min(minLength)
    .max(maxLength)
    .refine((value) => value.isWellFormed() && !value.includes('\0'), {
      error: 'must not hold NUL or a lone surrogate',
    });

export const uuid = () => z.uuid().toLowerCase();

/** RFC 3339 in UTC, as every time in an answer. */
export const time = () => z.iso.datetime({ offset: false });

/** RFC 3339 with any offset, as clients may send it. */
export const timeInput = () => z.iso.datetime({ offset: true });

export const repoName = () =>
  z.string().max(MAX_REPO_NAME).regex(REPO_NAME, { error: 'expected owner/name as the forge writes it' });

export const MAX_LIMIT = 500;
/** A client that waits longer asks again. */
const MAX_HELD_SECONDS = 60;

/** As a query says how long an answer may be held open, in seconds. */
export const heldSeconds = () =>
  z.coerce
    .number()
    .meta({ minimum: 0, maximum: MAX_HELD_SECONDS })
    .refine((value) => value >= 0 && value <= MAX_HELD_SECONDS, {
      error: `must be 0 to ${MAX_HELD_SECONDS}`,
      params: { code: 'wait_out_of_range' satisfies CodeOf<422> },
    })
    .default(0);

/** Query of a list: how many, and where the last page ended. */
export const pageQuery = () =>
  z.object({
    limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(100),
    cursor: z.string().max(500).optional(),
  });

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

/** RFC 9457, with our stable `code` and, where a document was refused, one entry per mistake. */
export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z
      .string()
      .describe(
        `Stable; part of the contract. These are all that there are; others may be added.\n\n${problemCodesTable()}`,
      )
      .meta({ 'x-problem-codes': PROBLEM_CODES }),
    detail: z.string(),
    requestId: z.string().optional(),
    errors: z
      .array(
        z.looseObject({ path: z.string(), reason: z.string(), line: z.int().nullish(), column: z.int().nullish() }),
      )
      .optional(),
  })
  .meta({ id: 'Problem' });

/** Body of an operation that needs none: absent, or an empty object. */
export const emptyBody = () => z.union([z.strictObject({}), z.null(), z.undefined()]).optional();
