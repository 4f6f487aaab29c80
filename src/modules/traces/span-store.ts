import type { Principal } from '../../platform/principal.ts';
import type { AcceptedLog, AcceptedSpan } from './copy-text.ts';

/**
 * Where spans and log records are kept. What has been stored is durable when the promise resolves; stored again it is
 * there once: spans by (trace id, span id, day), log records by their digest.
 */
export interface SpanStore {
  /** @throws Problem 401 when the key was revoked meanwhile; 503 when it may succeed later */
  storeSpans(principal: Principal, spans: readonly AcceptedSpan[]): Promise<void>;
  storeLogs(principal: Principal, records: readonly AcceptedLog[]): Promise<void>;
}
