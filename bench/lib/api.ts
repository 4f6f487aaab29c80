/** What set-up code reads of an answer. */
export interface Answer {
  readonly id: string;
  readonly secret: string;
  readonly org: { readonly id: string };
  readonly apiKey: { readonly secret: string };
  readonly lease: { readonly id: string; readonly fence: number };
}

/** A JSON client for setting a benchmark up. @throws Error for any answer that is not 2xx. */
export async function post(port: number, path: string, key: string, body: unknown): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Answer;
}
