/** @file Tests of `onnx-lora explain`, and of the line by which an error leads to it. */

import { expect, it } from 'vitest';
import { call, callJson } from '../../../fixtures/call.ts';

it('prints meaning, causes and remedies of a code', async () => {
  const { code, stdout, stderr } = await call(['explain', 'OVERLOADED']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatchInlineSnapshot(`
    "OVERLOADED: A session has more runs waiting than it may have.

    Causes
    - Requests come faster than the session computes them, and as many wait as maxQueue allows.

    Remedies
    - Answer the request with a status such as 503 and have it come again later.
    - Raise maxQueue for short bursts; for a lasting load put requests together in batches, or make more sessions.
    "
  `);
  expect((await call(['explain', 'overloaded'])).stdout).toBe(stdout);
});

it('lists all codes, a line each', async () => {
  const { stdout } = await call(['explain']);
  const codes = (await callJson<{ code: string }[]>('explain')).map(({ code }) => code);
  expect(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ')[0]),
  ).toEqual(codes);
  expect(codes).toHaveLength(18);
});

it('gives the same to programs', async () => {
  const [explained, ...others] = await callJson<Record<string, unknown>[]>('explain', 'target-not-found');
  expect(others).toEqual([]);
  expect(explained).toMatchObject({ code: 'TARGET_NOT_FOUND', summary: expect.stringContaining('matches nothing') });
});

it('knows what was meant', async () => {
  expect(await call(['explain', 'TARGET_NOT_FUOND', '--quiet'])).toEqual({
    code: 2,
    stdout: '',
    stderr:
      'error: There is no error code "TARGET_NOT_FUOND". Did you mean "TARGET_NOT_FOUND" or "FILE_NOT_FOUND"? onnx-lora explain lists them all.\n',
  });
});

it('an error leads to its explanation in one short line, unless little is to be said', async () => {
  const error = 'error: --data is missing: name the data to train on.\n';
  expect((await call(['train', 'models/vit'])).stderr).toBe(`${error}More: onnx-lora explain CONFIG_INVALID\n`);
  expect((await call(['train', 'models/vit', '--quiet'])).stderr).toBe(error);
});

it('with --json an error is one JSON value, whoever found it', async () => {
  const json = async (...argv: string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await call([...argv, '--json']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    return JSON.parse(stderr) as unknown;
  };
  expect(await json('train', 'models/vit')).toEqual({
    error: {
      code: 'CONFIG_INVALID',
      message: '--data is missing: name the data to train on.',
      docs: 'reference/errors#config-invalid',
    },
  });
  expect(await json('train', '--batchsize', '4')).toMatchObject({
    error: { message: expect.stringMatching(/^unknown option '--batchsize'/) },
  });
});
