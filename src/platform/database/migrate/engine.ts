import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type { SchemaEngine } from '@prisma/schema-engine-wasm';
import type { Pool } from 'pg';
import { type ExecuteScript, schemaAdapter } from './adapter.ts';

/**
 * Prisma's schema engine as WebAssembly, on connections of `pool`, which stays the caller's to end. The `prisma`
 * command would fetch the same engine as a binary from the network.
 */
export async function createSchemaEngine(
  pool: Pool,
  execute: ExecuteScript = (script) => pool.query(script),
): Promise<SchemaEngine> {
  const bindings = await loadBindings();
  return bindings.SchemaEngine.new(
    { datamodels: undefined },
    () => {},
    bindMigrationAwareSqlAdapterFactory(schemaAdapter(pool, execute)),
  );
}

/** The engine's input for a schema or database it should leave nothing out of. */
export const NO_FILTERS = { externalTables: [], externalEnums: [] };

type Bindings = typeof import('@prisma/schema-engine-wasm/schema_engine_bg') & {
  __wbg_set_wasm(exports: EngineExports): void;
};

interface EngineExports {
  __wbindgen_start(): void;
}

/** The one call needed of what the `dom` library would declare. */
interface WebAssemblyApi {
  instantiate(binary: Uint8Array, imports: Record<string, unknown>): Promise<{ instance: { exports: EngineExports } }>;
}

let bindingsOnce: Promise<Bindings> | undefined;

/** The WebAssembly is instantiated once a process (tens of milliseconds); a failure is not kept. */
function loadBindings(): Promise<Bindings> {
  bindingsOnce ??= instantiate().catch((error: unknown) => {
    bindingsOnce = undefined;
    throw error;
  });
  return bindingsOnce;
}

/** What the package's own entry does, except that Node 20 cannot import a `.wasm` file. */
async function instantiate(): Promise<Bindings> {
  // The engine reports a panic here and then traps; without it, the report itself would fail, without a word.
  Object.assign(globalThis, { PRISMA_WASM_PANIC_REGISTRY: { set_message: rethrowPanic } });
  const bindings = (await import('@prisma/schema-engine-wasm/schema_engine_bg')) as Bindings;
  const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
  const binary = await readFile(path.join(path.dirname(entry), 'schema_engine_bg.wasm'));
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyApi };
  const { instance } = await WebAssembly.instantiate(binary, {
    './schema_engine_bg.js': { ...bindings, ...looseTimers(bindings) },
  });
  bindings.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  return bindings;
}

/**
 * The engine starts a timer of ten seconds to give up on its lock, and never stops it: a process that has nothing else
 * to do would wait for it. The name ends in a hash that changes with every build.
 */
function looseTimers(bindings: Bindings): Record<string, unknown> {
  const start = (callback: () => void, delayMs: number) => setTimeout(callback, delayMs).unref();
  const names = Object.keys(bindings).filter((name) => name.startsWith('__wbg_setTimeout_'));
  return Object.fromEntries(names.map((name) => [name, start]));
}

function rethrowPanic(message: string): never {
  throw new Error(`the schema engine panicked: ${message}`);
}
