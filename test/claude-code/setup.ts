import type { TestProject } from 'vitest/node';
import startDatabase from '../support/global-setup.ts';
import { installClaudeCode } from './install.ts';

/** Installs once, before any scenario's clock runs, and starts the PostgreSQL that the scenarios' servers share. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await installClaudeCode();
  return startDatabase(project);
}
