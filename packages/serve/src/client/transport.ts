/** @file Sends requests, with retries and errors. */

/** Options of sending. */
export interface TransportOptions {
  /** The API key. */
  readonly key?: string | undefined;
  /** Retries when the server is overloaded; 3 by default. */
  readonly retries?: number | undefined;
  /** Longest wait before a retry in seconds; 30 by default. No retry beyond it. */
  readonly maxRetryAfter?: number | undefined;
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch | undefined;
}

export interface RequestBody {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly query?: Readonly<Record<string, string | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | FormData | Uint8Array<ArrayBuffer>;
  readonly signal?: AbortSignal | undefined;
}

/** A refusal or failure of the server. */
export class ServerError extends Error {
  /** HTTP status. */
  readonly status: number;
  /** Error code, such as `OVERLOADED` or `FILE_NOT_FOUND`. */
  readonly code: string;
  /** Seconds until a retry makes sense, if known. */
  readonly retryAfter: number | undefined;

  /** Uses the server's message. */
  constructor(status: number, { error, code }: { error: string; code: string }, retryAfter: number | undefined) {
    super(error);
    this.name = 'ServerError';
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export class Transport {
  readonly #url: string;
  readonly #options: TransportOptions;

  constructor(url: string, options: TransportOptions) {
    this.#url = url.replace(/\/+$/, '');
    this.#options = options;
  }

  /**
   * Sends a request and returns the response, unread.
   * @param path starts with `/`, percent-encoded
   * @throws ServerError; as `fetch`; the signal's reason
   */
  async send(
    path: string,
    { method = 'GET', query = {}, headers = {}, body, signal }: RequestBody = {},
  ): Promise<Response> {
    const { key, retries = 3, maxRetryAfter = 30, fetch: ask = fetch } = this.#options;
    const given = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)] as const],
    );
    const search = given.length > 0 ? `?${new URLSearchParams(Object.fromEntries(given)).toString()}` : '';
    const request = {
      method,
      headers: { ...headers, ...(key !== undefined && { authorization: `Bearer ${key}` }) },
      ...(body !== undefined && { body }),
      ...(signal && { signal }),
    };
    for (let left = retries; ; left--) {
      const answer = await ask(`${this.#url}${path}${search}`, request);
      if (answer.ok) return answer;
      const failure = await failureOf(answer);
      const { status, retryAfter = Infinity } = failure;
      if (status !== 429 || left <= 0 || retryAfter > maxRetryAfter) throw failure;
      await waited(retryAfter * 1000, signal);
    }
  }

  /** Sends a request and parses the JSON response. */
  async json<T>(path: string, sent?: RequestBody): Promise<T> {
    return (await (await this.send(path, sent)).json()) as T;
  }

  post<T>(path: string, value: unknown, sent: Omit<RequestBody, 'method' | 'body'> = {}): Promise<T> {
    const headers = { ...sent.headers, 'content-type': 'application/json' };
    return this.json(path, { ...sent, method: 'POST', headers, body: JSON.stringify(value) });
  }
}

async function failureOf(answer: Response): Promise<ServerError> {
  const seconds = Number(answer.headers.get('retry-after') ?? NaN);
  const retryAfter = Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
  const text = await answer.text();
  try {
    const { error, code } = JSON.parse(text) as { error: string; code: string };
    return new ServerError(answer.status, { error: String(error), code: String(code) }, retryAfter);
  } catch {
    // A proxy answered instead.
    const error = `The server answered ${answer.status}: ${text.slice(0, 200)}`;
    return new ServerError(answer.status, { error, code: 'HTTP' }, retryAfter);
  }
}

/** @throws the signal's reason */
function waited(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      clearTimeout(timer);
      reject(signal!.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', leave);
      resolve();
    }, milliseconds);
    if (signal?.aborted) leave();
    else signal?.addEventListener('abort', leave, { once: true });
  });
}
