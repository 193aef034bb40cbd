/** @file Tests of `onnx-lora serve`: a label by HTTP, until a signal comes. */

import { exec } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { openModel } from '@onnx-lora/sdk';
import { randomAdapter } from '@onnx-lora/testing';
import { expect, it } from 'vitest';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../../fixtures/call.ts';
import { main } from '../index.ts';

it('answers what predict says, to the words of the README, until SIGTERM', async () => {
  const folder = temporaryFolder();
  const [digit] = writeDigits(path.join(folder, 'digits'), { perClass: 1, classes: [7] }) as [string];
  const file = path.join(folder, 'cat.jpg');
  renameSync(digit, file);
  const run = path.join(folder, 'runs', 'photos');
  await (await randomAdapter(await openModel(vit), { lora: { targetModules: ['query', 'value'] }, seed: 3 })).save(run);
  const readme = readFileSync(new URL('../../../serve/README.md', import.meta.url), 'utf8');
  const [serve, curl] = readme.split('```sh\n')[1]!.split('\n') as [string, string];

  let told: (text: string) => void;
  const said = new Promise<string>((resolve) => (told = resolve));
  const words = serve
    .replace('models/vit', vit)
    .replace(' runs', ` ${path.join(folder, 'runs')}`)
    .split(' ')
    .slice(1);
  const settings = path.join(folder, 'server.yaml');
  writeFileSync(settings, 'batches: { maxRows: 8 }\n');
  const ended = main([...words, '--port', '0', '--json', '--config', settings], {
    stdout: { write: told! },
    stderr: { write: told! },
  });
  const { url, model } = JSON.parse(await said) as { url: string; model: string };
  expect(model).toBe('vit-mnist');
  const { stdout } = await promisify(exec)(curl.replace('http://127.0.0.1:8080', url), { cwd: folder });
  const [expected] = await callJson<{ label: string; score: number }[]>('predict', vit, file, '--adapter', run);
  const { label, score } = expected!;
  expect(JSON.parse(stdout)).toMatchObject({
    adapter: { name: 'photos' },
    predictions: [{ label, score: expect.closeTo(score, 4) }],
  });

  // A picture of a few bytes that claims to be huge.
  const bomb = Buffer.from(readFileSync(file));
  bomb.writeUInt32BE(6000, 16);
  bomb.writeUInt32BE(6000, 20);
  bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29);
  const refused = await fetch(`${url}/predict`, { method: 'POST', body: bomb });
  expect([refused.status, await refused.json()]).toMatchObject([
    400,
    { error: expect.stringContaining('36000000 in all') },
  ]);

  const about = async (): Promise<number> => (await fetch(`${url}/adapters`)).status;
  expect(await about()).toBe(200);
  writeFileSync(settings, `keys: [{ tenant: shop, sha256: ${'a'.repeat(64)} }]\n`);
  process.emit('SIGHUP');
  await expect.poll(about).toBe(401);

  process.emit('SIGTERM');
  expect(await ended).toBe(0);
  await expect(fetch(url)).rejects.toThrow('fetch failed');
});

it.each([
  [['--port', 'x'], '--port is "x"'],
  [['--port', '70000'], '"port" of the command is not as it should be'],
  [['--max-memory', 'much'], '--max-memory is "much"'],
  [['--max-memory', '1.5MB', '--port', '0'], 'maxMemoryBytes is 1500000, and the process takes'],
  [['--adapters', 'nowhere'], '--adapters "nowhere" is not there'],
])('refuses %s', async (words, error) => {
  expect(await call(['serve', vit, ...words])).toMatchObject({ code: 2, stderr: expect.stringContaining(error) });
});

it('reads settings from a file, in whose place flags may stand', async () => {
  const file = path.join(temporaryFolder(), 'server.yaml');
  const started = (yaml: string): ReturnType<typeof call> => {
    writeFileSync(file, yaml);
    return call(['serve', vit, '--config', file, '--adapters', 'nowhere']);
  };
  expect((await started('adapters: elsewhere\n')).stderr).toContain('--adapters "nowhere" is not there');
  const guide = readFileSync(new URL('../../../../docs/guides/server.md', import.meta.url), 'utf8');
  const [, example] = /```yaml\n(.*?)```/s.exec(guide)!;
  expect((await started(example!)).stderr).toContain('--adapters "nowhere" is not there');
  expect((await started('prot: 80\n')).stderr).toContain(`There is no "prot" among the settings of "${file}". Did you mean "port"?`); // prettier-ignore
  expect((await started('keys:\n  - {tenant: shop, sha256: secret}\n')).stderr).toContain('"keys.0.sha256" of');
  expect((await started('batches: {maxRow: 3}\n')).stderr).toContain('There is no "batches.maxRow"');
});
