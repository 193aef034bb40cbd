/** @file Jobs over REST, with a server that answers and refuses as Ray's dashboard does. */

import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { authToken, dashboardOf } from './address.ts';
import { RayJobs } from './rayJobs.ts';

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly body: unknown;
}

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

/** A dashboard with a token; its jobs print a line with each look at them, and end after the third. */
async function dashboard({ failing = 0 } = {}): Promise<{ port: number; asked: Asked[] }> {
  const asked: Asked[] = [];
  let looks = 0;
  let left = failing;
  const answer = (request: IncomingMessage, body: string): [number, unknown] => {
    const { method = '', url = '', headers } = request;
    // As `ray/dashboard/optional_utils.py`: browsers have no business there.
    if (Object.keys(headers).some((name) => name.startsWith('sec-fetch'))) return [405, 'browser'];
    if (headers.authorization !== 'Bearer secret') return [401, 'no token'];
    asked.push({ method, url, body: body === '' ? undefined : JSON.parse(body) });
    if (url === '/api/jobs/' && method === 'POST')
      return [200, { submission_id: 'raysubmit_1', job_id: 'raysubmit_1' }];
    const job = {
      submission_id: 'raysubmit_1',
      entrypoint: 'echo',
      message: 'fine',
      driver_exit_code: null,
      start_time: 5,
    };
    if (url === '/api/jobs/')
      return [
        200,
        [
          { ...job, submission_id: null, status: 'RUNNING' },
          { ...job, status: 'RUNNING' },
        ],
      ];
    if (url === '/api/jobs/raysubmit_1/stop') return [200, { stopped: true }];
    if (looks === 1 && left-- > 0) return [500, 'Traceback\nthe head restarts'];
    if (url === '/api/jobs/raysubmit_1') {
      looks++;
      return [200, { ...job, ...(looks < 3 ? { status: 'RUNNING' } : { status: 'FAILED', driver_exit_code: 3 }) }];
    }
    if (url === '/api/jobs/raysubmit_1/logs')
      return [200, { logs: ['one\ntw', 'one\ntwo\n', 'one\ntwo\nthree'][looks - 1] }];
    return [404, 'Job not found'];
  };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      const [status, content] = answer(request, body);
      response.writeHead(status).end(typeof content === 'string' ? content : JSON.stringify(content));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, asked };
}

describe('jobs', () => {
  it('are submitted, listed, and stopped', async () => {
    const { port, asked } = await dashboard();
    const jobs = new RayJobs(`ray://127.0.0.1:${port}`, 'secret');
    expect(await jobs.submit({ entrypoint: 'echo hello', metadata: { a: 'b' } })).toBe('raysubmit_1');
    expect(asked[0]!.body).toEqual({ entrypoint: 'echo hello', metadata: { a: 'b' }, entrypoint_num_cpus: 0 });
    const [job, ...others] = await jobs.list();
    expect(others).toEqual([]);
    expect(job).toEqual({ id: 'raysubmit_1', status: 'RUNNING', entrypoint: 'echo', message: 'fine', exitCode: undefined, startTime: 5 }); // prettier-ignore
    await jobs.stop('raysubmit_1');
    expect(asked.at(-1)).toMatchObject({ method: 'POST', url: '/api/jobs/raysubmit_1/stop' });
  });

  it.each([0, 2])('are followed to their end, each line once and whole, past %i failures', async (failing) => {
    const { port } = await dashboard({ failing });
    const lines: string[] = [];
    const job = await new RayJobs(`ray://127.0.0.1:${port}`, 'secret').follow('raysubmit_1', (line) =>
      lines.push(line),
    );
    expect(lines).toEqual(['one', 'two', 'three']);
    expect(job).toMatchObject({ status: 'FAILED', exitCode: 3 });
  });

  it('are left by a signal', async () => {
    const { port } = await dashboard();
    const job = await new RayJobs(`ray://127.0.0.1:${port}`, 'secret').follow('raysubmit_1', () => undefined, AbortSignal.abort()); // prettier-ignore
    expect(job.status).toBe('RUNNING');
  });

  it('say what is wrong: the token, the id, the server', async () => {
    const { port } = await dashboard();
    const on = `ray://127.0.0.1:${port}`;
    await expect(new RayJobs(on, 'other').list()).rejects.toThrow(`The cluster at 127.0.0.1:${port} refuses the token. Set RAY_AUTH_TOKEN`); // prettier-ignore
    await expect(new RayJobs(on, 'secret').status('raysubmit_2')).rejects.toThrow('has no job "raysubmit_2"');
    closing.splice(0).forEach((close) => close());
    await expect(new RayJobs('ray://127.0.0.1:9', 'secret').list()).rejects.toThrow(/^No Ray cluster answers at http:\/\/127\.0\.0\.1:9: .+ Start one \(python3 -m pip install 'ray\[default\]'/); // prettier-ignore
  });
});

describe('an address', () => {
  it.each([
    ['ray://lab', 'http://lab:8265/'],
    ['ray://lab:9000', 'http://lab:9000/'],
    ['https://lab/ray', 'https://lab/ray'],
    ['ray://[::1]:8265', 'http://[::1]:8265/'],
  ])('%s is %s', (address, url) => expect(dashboardOf(address).href).toBe(url));

  it.each([
    ['lab:8265', 'is no address of a Ray cluster'],
    ['ray://', 'is no address of a Ray cluster'],
    ['ray://me:word@lab', 'is no address of a Ray cluster'],
    ['ray://lab:10001', 'names the port of Ray Client'],
  ])('%s is refused', (address, why) => expect(() => dashboardOf(address)).toThrow(why));

  it('has the token that Ray itself would take', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-token-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'token');
    writeFileSync(file, 'in-a-file\n');
    expect(authToken({ RAY_AUTH_TOKEN: ' given ', RAY_AUTH_TOKEN_PATH: file })).toBe('given');
    expect(authToken({ RAY_AUTH_TOKEN_PATH: file })).toBe('in-a-file');
    expect(() => authToken({ RAY_AUTH_TOKEN_PATH: `${file}s` })).toThrow('which is not there');
  });
});
