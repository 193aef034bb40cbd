/** @file Jobs of a Ray cluster, over the REST interface of its dashboard. */

import { type IncomingMessage, request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import { setTimeout } from 'node:timers/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { z } from 'zod';
import { authToken, dashboardOf } from './address.ts';

/** A job's state, in Ray's words. */
export type JobStatus = 'PENDING' | 'RUNNING' | 'STOPPED' | 'SUCCEEDED' | 'FAILED';

/** A job as the cluster describes it. */
export interface RayJob {
  /** The id to follow and stop it by. */
  readonly id: string;
  /** Its state. */
  readonly status: JobStatus;
  /** The command that it runs. */
  readonly entrypoint: string;
  /** Ray's words about its state; empty if there are none. */
  readonly message: string;
  /** Exit code of its command; undefined before its end, or if it did not end by itself. */
  readonly exitCode: number | undefined;
  /** Start in milliseconds since 1970; undefined before. */
  readonly startTime: number | undefined;
}

/** A job to submit. */
export interface JobRequest {
  /** A command of the shell, which runs on the cluster's head. */
  readonly entrypoint: string;
  /** Words about it that `ray job list` shows. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const text = z.string().nullish();
const jobSchema = z
  .object({
    submission_id: text,
    status: z.enum(['PENDING', 'RUNNING', 'STOPPED', 'SUCCEEDED', 'FAILED']),
    entrypoint: z.string(),
    message: text,
    driver_exit_code: z.number().nullish(),
    start_time: z.number().nullish(),
  })
  .transform((job): RayJob => ({
    id: job.submission_id ?? '',
    status: job.status,
    entrypoint: job.entrypoint,
    message: job.message ?? '',
    exitCode: job.driver_exit_code ?? undefined,
    startTime: job.start_time ?? undefined,
  }));

/** Most bytes of an answer: logs of a job are sent whole. */
const MOST = 64 << 20;
/** Milliseconds without an answer. */
const PATIENCE = 30_000;
/** Milliseconds between two looks at a job, at first and at most. */
const [SOON, LATE] = [250, 2000];
/** Looks that may fail in a row: a head that restarts is away for a while. */
const FAILURES = 30;

const ended: ReadonlySet<JobStatus> = new Set(['STOPPED', 'SUCCEEDED', 'FAILED']);

/**
 * Jobs of one cluster.
 * @example
 * const jobs = new RayJobs('ray://cluster.lab:8265');
 * const id = await jobs.submit({ entrypoint: 'echo hello' });
 * const { status } = await jobs.follow(id, (line) => console.log(line));
 */
export class RayJobs {
  /** Where the dashboard is. */
  readonly url: URL;
  readonly #token: string | undefined;

  /**
   * @param address `ray://HOST:PORT`, with the port of the dashboard
   * @param token for a cluster with token authentication; by default as Ray's tools find it
   * @throws OnnxLoraError `CONFIG_INVALID` for another address; as {@link authToken}
   */
  constructor(address: string, token: string | undefined = authToken()) {
    this.url = dashboardOf(address);
    this.#token = token;
  }

  /** Submits a job, which begins at once. Returns its id. @throws OnnxLoraError `RUNTIME_FAILED`, `CONFIG_INVALID` */
  async submit({ entrypoint, metadata = {} }: JobRequest): Promise<string> {
    const made = await this.#ask('POST', '', { entrypoint, metadata, entrypoint_num_cpus: 0 });
    return z.object({ submission_id: z.string() }).parse(made).submission_id;
  }

  /** All jobs that were submitted, the latest first. @throws OnnxLoraError as {@link RayJobs.submit} */
  async list(): Promise<RayJob[]> {
    const jobs = z.array(jobSchema).parse(await this.#ask('GET', ''));
    // Drivers that connect by themselves are listed without an id.
    return jobs.filter(({ id }) => id !== '').sort((a, b) => (b.startTime ?? Infinity) - (a.startTime ?? Infinity));
  }

  /** A job's state. @throws OnnxLoraError `INPUT_INVALID` for an unknown id; as {@link RayJobs.submit} */
  async status(id: string): Promise<RayJob> {
    return { ...jobSchema.parse(await this.#ask('GET', encodeURIComponent(id))), id };
  }

  /** All that a job has printed. @throws OnnxLoraError as {@link RayJobs.status} */
  async logs(id: string): Promise<string> {
    const { logs } = z.object({ logs: text }).parse(await this.#ask('GET', `${encodeURIComponent(id)}/logs`));
    return logs ?? '';
  }

  /** Asks a job to stop; it gets SIGTERM, and SIGKILL after a few seconds. @throws OnnxLoraError as {@link RayJobs.status} */
  async stop(id: string): Promise<void> {
    await this.#ask('POST', `${encodeURIComponent(id)}/stop`);
  }

  /**
   * Follows a job to its end, and tells each line that it prints.
   * @param signal ends the following, not the job
   * @returns the job as it ended; as it is after the signal
   * @throws OnnxLoraError as {@link RayJobs.status}; a cluster that is away for a minute is waited for
   */
  async follow(id: string, tell: (line: string) => void, signal?: AbortSignal): Promise<RayJob> {
    let told = 0;
    let failures = 0;
    for (let pause = SOON; ; pause = Math.min(LATE, pause * 1.5)) {
      try {
        // The state first: what a job printed before its end is in the logs after it.
        const job = await this.status(id);
        const isOver = ended.has(job.status) || signal?.aborted === true;
        const logs = await this.logs(id);
        const end = isOver ? logs.length : logs.lastIndexOf('\n') + 1;
        if (end > told) for (const line of logs.slice(told, end).replace(/\n$/, '').split('\n')) tell(line);
        told = Math.max(told, end);
        if (isOver) return job;
        failures = 0;
      } catch (error) {
        if (!(error instanceof OnnxLoraError) || error.code !== 'RUNTIME_FAILED' || ++failures > FAILURES) throw error;
      }
      await setTimeout(pause, undefined, signal && { signal }).catch(() => undefined);
    }
  }

  async #ask(method: 'GET' | 'POST', place: string, content?: unknown): Promise<unknown> {
    const url = new URL(`${this.url.pathname.replace(/\/$/, '')}/api/jobs/${place}`, this.url);
    const { status, body } = await this.#send(method, url, content);
    if (status === 401 || status === 403) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The cluster at ${this.url.host} ${this.#token === undefined ? 'asks for a token' : 'refuses the token'}. Set RAY_AUTH_TOKEN to the cluster's own, or write it into ~/.ray/auth_token.`,
      );
    }
    if (status === 404 && place !== '')
      throw new OnnxLoraError('INPUT_INVALID', `The cluster at ${this.url.host} has no job "${decodeURIComponent(place.split('/')[0]!)}". onnx-lora jobs --on ${this.url.origin} lists those that it has.`); // prettier-ignore
    if (status !== 200)
      throw new OnnxLoraError('RUNTIME_FAILED', `The cluster at ${this.url.host} answers ${status}: ${body.trim().split('\n').at(-1)!.slice(0, 300)}`); // prettier-ignore
    try {
      return JSON.parse(body) as unknown;
    } catch (cause) {
      throw new OnnxLoraError('CONFIG_INVALID', `${this.url.origin} is no dashboard of Ray: it answers other things than JSON. Name its address and port.`, { cause }); // prettier-ignore
    }
  }

  async #send(method: string, url: URL, content: unknown): Promise<{ status: number; body: string }> {
    const sent = content === undefined ? undefined : JSON.stringify(content);
    // Not `fetch`, whose Sec-Fetch headers the dashboard takes for a browser's, and refuses.
    const send = url.protocol === 'https:' ? overHttps : overHttp;
    const headers = {
      ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
      ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
    };
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const asked = send(url, { method, headers, timeout: PATIENCE }, resolve);
        asked.on('timeout', () => asked.destroy(new Error(`no answer in ${PATIENCE / 1000} s`)));
        asked.on('error', reject);
        asked.end(sent);
      });
      const parts: Buffer[] = [];
      let size = 0;
      for await (const part of response as AsyncIterable<Buffer>) {
        size += part.length;
        if (size > MOST) throw new Error(`its answer is larger than ${MOST >> 20} MiB`);
        parts.push(part);
      }
      return { status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() };
    } catch (cause) {
      throw new OnnxLoraError(
        'RUNTIME_FAILED',
        `No Ray cluster answers at ${this.url.origin}: ${messageOf(cause)}. Start one (python3 -m pip install 'ray[default]', then ray start --head), and name the port of its dashboard.`,
        { cause },
      );
    }
  }
}

/** Node's errors of several addresses have no message. */
function messageOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  return message || code || String(error);
}
