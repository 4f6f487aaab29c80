/** The two baselines, each a Fastify of its own in a process of its own: an echo without a database, and one durable INSERT. */
import Fastify from 'fastify';
import pg from 'pg';

const [kind, url] = process.argv.slice(2);
const app = Fastify();
if (kind === 'echo') {
  app.post('/echo', async (request) => request.body);
} else {
  const pool = new pg.Pool({ connectionString: url, max: 20 });
  await pool.query(
    'CREATE TABLE IF NOT EXISTS bench_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT now(), body jsonb NOT NULL)',
  );
  app.post('/insert', async (request) => {
    const { rows } = await pool.query({
      name: 'insert',
      text: 'INSERT INTO bench_row (body) VALUES ($1) RETURNING id',
      values: [request.body],
    });
    return { id: rows[0].id };
  });
}
await app.listen({ port: 0, host: '127.0.0.1' });
process.stdout.write(`${JSON.stringify({ port: (app.server.address() as { port: number }).port })}\n`);
process.on('SIGTERM', () => process.exit(0));
