/** @file Tests of the error class. */

import { expect, it, vi } from 'vitest';
import { OnnxLoraError, nearest, systemFailure } from './errors.ts';

it('an error knows its section in the documentation', () => {
  expect(new OnnxLoraError('TARGET_NOT_FOUND', 'x').docs).toBe('reference/errors#target-not-found');
});

it('errors of another copy of the SDK are such errors too, and no others', async () => {
  vi.resetModules();
  const other = await import('./errors.ts');
  expect(other.OnnxLoraError).not.toBe(OnnxLoraError);
  const error = new other.OnnxLoraError('DATA_INVALID', 'x');
  expect(Object.getPrototypeOf(error)).not.toBe(OnnxLoraError.prototype);
  expect(error).toBeInstanceOf(OnnxLoraError);
  for (const each of [
    new Error('x'),
    Object.assign(new Error('x'), { code: 'ENOENT' }),
    { name: 'OnnxLoraError' },
    null,
  ])
    expect(each instanceof OnnxLoraError).toBe(false);
});

it('names of any length in a message leave it short, with its beginning and its remedy', () => {
  for (const name of ['x'.repeat(300_000), 'x '.repeat(150_000)]) {
    const { message, stack } = new OnnxLoraError('FILE_INVALID', `"${name}" is not a tensor. Save it again.`);
    expect(message.length).toBeLessThanOrEqual(4000);
    expect(message).toMatch(/^"x[^]*…[^]*" is not a tensor\. Save it again\.$/);
    expect(stack!.length).toBeLessThan(10_000);
  }
  const path = `/data/${'folder/'.repeat(100)}`;
  expect(new OnnxLoraError('FILE_INVALID', path).message).toBe(path);
});

it('what moves the cursor or colours text is written out', () => {
  expect(new OnnxLoraError('FILE_INVALID', 'a\u001b[2Jb\r\u009bc\n\td').message).toBe('a\\x1b[2Jb\\x0d\\x9bc\n\td');
});

it('names are compared by edit distance; long ones are not', () => {
  expect(nearest('querry', ['value', 'query', 'key'])).toEqual(['query']);
  expect(nearest('ab', ['abcd', 'xy', 'abc'])).toEqual(['abc', 'abcd', 'xy']);
  expect(
    nearest(
      'x'.repeat(20_000),
      Array.from({ length: 1000 }, () => 'y'.repeat(15_000)),
    ),
  ).toEqual([]);
});

it('what the system refuses has a remedy, and nothing else becomes such an error', () => {
  const failed = (code: string, path?: string): Error => Object.assign(new Error(`${code}: …`), { code, path });
  expect(systemFailure(failed('EMFILE', '/data/a.png'))).toMatchObject({
    code: 'FILE_INVALID',
    message: expect.stringMatching(/^"\/data\/a\.png" could not be opened or written \(EMFILE\)\..*ulimit -n 4096/),
    cause: expect.objectContaining({ code: 'EMFILE' }),
  });
  for (const code of ['ENFILE', 'ENOSPC', 'EACCES', 'EROFS'])
    expect(systemFailure(failed(code))?.message).toContain(code);
  for (const other of [failed('ERR_INVALID_ARG_TYPE'), failed('constructor'), new Error('x'), null, 'EMFILE'])
    expect(systemFailure(other)).toBeUndefined();
  expect(systemFailure(new OnnxLoraError('DATA_INVALID', 'x'))).toBeUndefined();
});
