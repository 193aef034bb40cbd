/** @file The server's log: requests' routes and results, and failures; never their content. */

/** An answered request. */
export interface AnsweredRequest {
  /** `GET`, `POST` …, or `gRPC`. */
  readonly method: string;
  /** The route's pattern, or the call's path; never the URL. */
  readonly route: string;
  /** HTTP's or gRPC's status. */
  readonly status: number;
  /** Seconds from the first byte to the last one sent. */
  readonly seconds: number;
}

/** A log entry. */
export type LogEntry =
  | (AnsweredRequest & { readonly event: 'request'; readonly time: string; readonly tenant: string })
  | { readonly event: 'failure'; readonly time: string; readonly message: string; readonly stack: string | undefined };

/** Log level: all requests, only the server's failures, or nothing. */
export type LogLevel = 'requests' | 'failures' | 'nothing';

export interface Log {
  readonly answered: (request: AnsweredRequest, tenant: string) => void;
  readonly failed: (error: unknown) => void;
}

/** Creates a log of this level. */
export function logTo(write: (entry: LogEntry) => void, level: LogLevel): Log {
  const now = (): string => new Date().toISOString();
  return {
    answered: (request, tenant) => {
      if (level === 'requests') write({ time: now(), event: 'request', tenant, ...request });
    },
    failed: (error) => {
      const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
      if (level !== 'nothing') write({ time: now(), event: 'failure', message, stack });
    },
  };
}

/** Writes an entry as JSON on stderr. */
export function toStderr(entry: LogEntry): void {
  process.stderr.write(`${JSON.stringify(entry)}\n`);
}
