/** @file One request: sent, tried again where the server says when, and its failure as an error. */

/** How requests are sent. */
export interface TransportOptions {
  /** The key that the server knows its tenant by. */
  readonly key?: string | undefined;
  /** How often a request is sent again that the server is too busy for; 3 by default. */
  readonly retries?: number | undefined;
  /** Seconds that are waited for at most before one is sent again; 30 by default. A server that wants more is not asked again. */
  readonly maxRetryAfter?: number | undefined;
  /** In place of the global one. */
  readonly fetch?: typeof fetch | undefined;
}

/** What is sent. */
export interface Sent {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly query?: Readonly<Record<string, string | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | FormData | Uint8Array<ArrayBuffer>;
  readonly signal?: AbortSignal | undefined;
}

/** What the server refused or failed at. */
export class ServerError extends Error {
  /** HTTP's status. */
  readonly status: number;
  /** For programs, such as `OVERLOADED` or `FILE_NOT_FOUND`. */
  readonly code: string;
  /** Seconds after which it is worth another try, where the server says so. */
  readonly retryAfter: number | undefined;

  /** Has the server's own words as its message. */
  constructor(status: number, { error, code }: { error: string; code: string }, retryAfter: number | undefined) {
    super(error);
    this.name = 'ServerError';
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** Sends requests to one server. */
export class Transport {
  readonly #url: string;
  readonly #options: TransportOptions;

  constructor(url: string, options: TransportOptions) {
    this.#url = url.replace(/\/+$/, '');
    this.#options = options;
  }

  /**
   * The answer, whose body has not been read.
   *
   * @param path begins with `/`, its parts percent-encoded
   * @throws ServerError; what `fetch` throws, and the signal's reason
   */
  async send(path: string, { method = 'GET', query = {}, headers = {}, body, signal }: Sent = {}): Promise<Response> {
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

  /** The answer, which is JSON. */
  async json<T>(path: string, sent?: Sent): Promise<T> {
    return (await (await this.send(path, sent)).json()) as T;
  }

  /** What is answered to JSON. */
  post<T>(path: string, value: unknown, sent: Omit<Sent, 'method' | 'body'> = {}): Promise<T> {
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
    // Something before the server answered in its place.
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
