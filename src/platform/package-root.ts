import { fileURLToPath } from 'node:url';

/** The folder of package.json, whether this file runs from src/ or, built, from dist/: both lie one below it. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../../', import.meta.url));
