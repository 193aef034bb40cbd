/** @file What a server writes down: of requests where they went and how they ended, of failures where; never what they hold. */

/** A request that has been answered. */
export interface AnsweredRequest {
  /** `GET`, `POST` …; `gRPC`. */
  readonly method: string;
  /** The route's pattern, and not the address; the path of a call. */
  readonly route: string;
  /** HTTP's status, or gRPC's. */
  readonly status: number;
  /** From the first byte to the last one sent. */
  readonly seconds: number;
}

/** One line of the log. */
export type LogEntry =
  | (AnsweredRequest & { readonly event: 'request'; readonly time: string; readonly tenant: string })
  | { readonly event: 'failure'; readonly time: string; readonly message: string; readonly stack: string | undefined };

/** What is written down: every request, failures that are no client's alone, or nothing. */
export type LogLevel = 'requests' | 'failures' | 'nothing';

/** Writes down. */
export interface Log {
  /** A request has been answered. */
  readonly answered: (request: AnsweredRequest, tenant: string) => void;
  /** Something failed that is no client's fault. */
  readonly failed: (error: unknown) => void;
}

/** A log that hands over what its level has. */
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

/** A line of JSON on stderr. */
export function toStderr(entry: LogEntry): void {
  process.stderr.write(`${JSON.stringify(entry)}\n`);
}
