import { installClaudeCode } from './install.ts';

/** Installs once, before any scenario's clock runs. */
export default async function setup(): Promise<void> {
  await installClaudeCode();
}
