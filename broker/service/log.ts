import { pino, type Logger } from 'pino';

const levels = ['silent', 'error', 'warn', 'info', 'debug'];

/** JSON lines with the fields that they are given, on stderr: standard output may be the audit. */
export function createLog(stderr: NodeJS.WritableStream, env: Readonly<Record<string, string | undefined>>): Logger {
  const wanted = env['KLEIS_LOG'] ?? '';
  return pino(
    {
      level: levels.includes(wanted) ? wanted : 'info',
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      // An error object brings its message, its cause and whatever somebody hung on it: none goes in by accident.
      serializers: { err: () => '[not logged]', error: () => '[not logged]' },
    },
    stderr,
  );
}
