import type { Handler } from '../outcome.ts';
import { COREUTILS } from './coreutils.ts';
import { EDITORS } from './editors.ts';
import { FILES } from './files.ts';
import { FIND } from './find.ts';
import { GIT } from './git.ts';
import { INTERPRETERS } from './interpreters.ts';
import { READERS } from './readonly.ts';
import { WRAPPERS } from './wrappers.ts';

/** What is known of each program. One that is missing here is flagged as `unknown_writer`. */
export const PROGRAMS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ...READERS,
  ...COREUTILS,
  ...EDITORS,
  ...FILES,
  ...FIND,
  ...GIT,
  ...INTERPRETERS,
  ...WRAPPERS,
]);
