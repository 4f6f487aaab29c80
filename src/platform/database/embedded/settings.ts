/** PostgreSQL's command line. What is not named here is its default, above all `fsync` and `synchronous_commit`. */
export function postgresFlags(data: string, port: number, durable: boolean): string[] {
  const settings: Record<string, string | number> = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    cluster_name: 'signalbox',
    max_connections: 100,
    shared_buffers: '128MB',
    // Files of the log are used again up to here. Where there is none left, whoever commits makes one: 15 ms more.
    min_wal_size: '256MB',
    // A small machine, mostly waiting for its disk: no worker processes for reading, no parallel plans.
    io_method: 'sync',
    max_parallel_workers_per_gather: 0,
    jit: 'off',
    random_page_cost: 1.1,
    // The server logs its own statements' errors; here only what happens to PostgreSQL itself.
    log_min_messages: 'log',
    log_checkpoints: 'off',
    log_line_prefix: '%m [%p] ',
    log_timezone: 'UTC',
    timezone: 'UTC',
    ...(durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
  };
  return ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}
