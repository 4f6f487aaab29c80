import { readFileSync } from 'node:fs';
import { DEFAULT_PORT } from '../../platform/config.ts';
import { Failure, UsageError } from './failure.ts';
import { plain } from './text.ts';

const DEFAULT_URL = `http://127.0.0.1:${DEFAULT_PORT}`;

export interface Connection {
  /** Without a trailing slash. */
  readonly url: string;
  readonly key: string;
}

/**
 * Where the server is and with which key to speak to it. A key is never an argument: those are in the process list and
 * in the shell's history.
 * @throws UsageError, which never repeats a key
 */
export function connectionOf(
  options: { readonly url?: string | undefined; readonly 'key-file'?: string | undefined },
  env: NodeJS.ProcessEnv,
): Connection {
  return { url: baseUrl(options.url, env), key: keyOf(options['key-file'], env) };
}

function baseUrl(option: string | undefined, env: NodeJS.ProcessEnv): string {
  const name = option === undefined ? 'SIGNALBOX_URL' : '--url';
  const text = (option ?? env['SIGNALBOX_URL'] ?? DEFAULT_URL).trim();
  const url = URL.canParse(text) ? new URL(text) : null;
  const isBase = url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '';
  // The URL may turn up in messages: one with a password in it is refused, and not shown.
  if (!isBase || url.username !== '' || url.password !== '') {
    throw new UsageError(`${name}: expected an http or https URL without credentials, query or fragment`);
  }
  return url.href.replace(/\/+$/, '');
}

function keyOf(file: string | undefined, env: NodeJS.ProcessEnv): string {
  const text = file === undefined ? env['SIGNALBOX_KEY'] : readKey(file);
  const name = file === undefined ? 'SIGNALBOX_KEY' : '--key-file';
  if (text === undefined)
    throw new UsageError('no API key: set SIGNALBOX_KEY, or name a file that holds it with --key-file');
  const key = text.trim();
  if (!/^[\x21-\x7e]+$/.test(key)) throw new UsageError(`${name}: expected an API key and nothing else`);
  return key;
}

function readKey(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Failure(`--key-file: ${plain((error as Error).message)}`);
  }
}
