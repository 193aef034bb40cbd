/** @file Tests of what is said and kept where the task of a plugin fails, and where a plugin was forgotten. */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Adapter, loadAdapter, openModel } from '@onnx-lora/sdk';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { randomAdapter } from '@onnx-lora/testing';
import { describe, expect, it } from 'vitest';
import { convModel } from '../../../../test/fixtures/smallNets.ts';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { call, type Outcome, temporaryFolder, vit } from '../../fixtures/call.ts';

const failing = fileURLToPath(new URL('../../fixtures/failing.ts', import.meta.url));
const AUTHOR = "Its author can mend it; the error's cause says where (--debug shows it).";

interface Trained extends Outcome {
  readonly folder: string;
  readonly data: string;
  readonly out: string;
}

/** A run of two steps with a task that fails somewhere. */
async function train(where: string, ...flags: string[]): Promise<Trained> {
  const folder = temporaryFolder();
  const [data, out] = [path.join(folder, 'digits'), path.join(folder, 'run')];
  writeDigits(data, { perClass: 4, classes: [3, 8] });
  const outcome = await call([
    'train', vit, '--plugin', failing, '--task', 'failing', '--set', `where=${where}`, '--data', data, '--out', out, '--steps', '2', '--batch-size', '4', ...flags,
  ]); // prettier-ignore
  return { ...outcome, folder, data, out };
}

describe('a task that fails', () => {
  it.each(['create', 'collate', 'metrics'])('in %s is named', async (where) => {
    const { code, stderr, out } = await train(where);
    expect(stderr).toContain(`error: The task "failing" fails in ${where}: metrics boom. ${AUTHOR}\n`);
    expect(code).toBe(2);
    expect(existsSync(out)).toBe(false);
  });

  it('in a step says what is left', async () => {
    const { code, stderr } = await train('loss');
    expect(code).toBe(2);
    expect(stderr).toContain('error: The task "failing" fails in loss: metrics boom. Outputs: logits');
  });

  it.each([
    [
      'report',
      `warning: the report lacks the task's sections:  The task "failing" fails in report: metrics boom. ${AUTHOR}`,
    ],
    ['section', 'warning: the report lacks the section "Half a table": Cannot read properties of undefined'],
  ])('in its %s leaves all else', async (where, warning) => {
    const { code, stdout, stderr, out } = await train(where);
    expect(stderr).toContain(warning);
    expect(code).toBe(0);
    expect(stdout).toContain(`adapter  ${path.join(out, 'adapter')}\nreport   ${path.join(out, 'report.html')}`);
    expect(readdirSync(out).sort()).toEqual([
      'adapter',
      'checkpoints',
      'config.yaml',
      'draws.json',
      'metrics.jsonl',
      'report.html',
      'trained-on.txt',
    ]);
  });

  it('when the adapter is finished says where it is', async () => {
    const { code, stderr, out } = await train('finish');
    expect(code).toBe(2);
    const checkpoint = path.join(out, 'checkpoints', 'step-2');
    expect(stderr).toContain(
      `error: The task "failing" fails in finish: metrics boom. ${AUTHOR} The run as it was then is in "${checkpoint}", which serves as an adapter too;`,
    );
    expect((await loadAdapter(checkpoint)).parameterCount).toBe(18_432);
  });

  it('when it answers is named', async () => {
    const { data } = await train('create');
    const { code, stderr } = await call(['predict', vit, path.join(data, '3/0000.png'), '--plugin', failing, '--task', 'failing']); // prettier-ignore
    expect(stderr).toContain(`error: The task "failing" fails in predict: metrics boom. ${AUTHOR}`);
    expect(code).toBe(2);
  });
});

it('a run says how many examples are held out, and writes numbers as numbers', async () => {
  const { stderr, out } = await train('section', '--set', 'rate=0.05');
  expect(stderr).toContain('4 examples to train on, 4 held out\n');
  expect(readFileSync(path.join(out, 'config.yaml'), 'utf8')).toContain('set:\n  where: section\n  rate: 0.05\n');
});

it('answers of which only the text is printed say what else they have, once', async () => {
  const { data } = await train('create');
  const files = ['0000.png', '0001.png'].map((name) => path.join(data, '3', name));
  const argv = ['predict', vit, ...files, '--plugin', failing, '--task', 'failing', '--set', 'where=nowhere'];
  const { stdout, stderr } = await call(argv);
  expect(stdout).toBe(`picture 0  ${files[0]}\npicture 1  ${files[1]}\n`);
  expect(stderr).toBe(
    'task failing: as you named it\nAnswers have more than their text (embedding): --json or --out FILE shows all of it.\n',
  );
  expect((await call([...argv, '--quiet'])).stderr).toBe('');
  const json = await call([...argv, '--json']);
  expect([json.stderr, JSON.parse(json.stdout)]).toMatchObject(['', [{ embedding: [0] }, { embedding: [1] }]]);
});

it('a task of another domain than the model is loaded where an adapter names it', async () => {
  const folder = temporaryFolder();
  const { config, tensors } = await randomAdapter(await openModel(vit), {
    lora: { targetModules: ['query'] },
    seed: 3,
  });
  const file = path.join(folder, 'a.wav');
  writeFileSync(file, '');
  await new Adapter(config, tensors, undefined, { task: 'audio-classification' }).save(path.join(folder, 'own'));
  const { stderr } = await call(['predict', vit, file, '--adapter', path.join(folder, 'own')]);
  // The fault of the model.
  expect(stderr).toContain('describes no feature extractor of sound');
});

describe('a plugin that was forgotten', () => {
  /** A package in `node_modules`, where the command is called. */
  function install(folder: string, name: string): void {
    const at = path.join(folder, 'node_modules', name);
    mkdirSync(at, { recursive: true });
    writeFileSync(path.join(at, 'package.json'), JSON.stringify({ name, keywords: ['onnx-lora-plugin'] }));
  }

  const said = 'error: The adapter was trained for "failing", which no loaded plugin brings. Load its plugin: ';

  it('is the one of the run', async () => {
    const { data, out, folder } = await train('section');
    install(folder, 'onnx-lora-pairs');
    const argv = ['eval', vit, '--data', data, '--adapter'];
    const ofRun = await call([...argv, out], { folder });
    expect(ofRun.stderr).toContain(`${said}--plugin ${failing}. Or say with --task what else to do.\n`);
    expect(ofRun.code).toBe(2);
    const alone = await call([...argv, path.join(out, 'adapter')], { folder });
    expect(alone.stderr).toContain(
      `${said}--plugin NAME. Installed, but not loaded: onnx-lora-pairs (--plugin onnx-lora-pairs loads it). Or say`,
    );
    expect(
      (await call(['predict', vit, path.join(data, '3/0000.png'), '--adapter', out], { folder })).stderr,
    ).toContain(said);
    // Another task may be asked for, and the plugin finds its own.
    expect((await call([...argv, out, '--task', 'image-classification'], { folder })).code).toBe(0);
    expect((await call([...argv, out, '--plugin', failing, '--set', 'where=section'], { folder })).code).toBe(0);
  });

  it('may know the family or the task', async () => {
    const folder = temporaryFolder();
    install(folder, 'onnx-lora-pairs');
    install(folder, 'onnx-lora-cells');
    const file = path.join(folder, 'model.onnx');
    writeOnnx(file, convModel());
    const hint = 'Installed, but not loaded: onnx-lora-cells, onnx-lora-pairs (--plugin NAME loads one).';
    const asked = await call(['eval', vit, '--data', folder, '--task', 'text-pairs'], { folder });
    expect(asked.stderr).toMatch(/There is no task "text-pairs"\..* multiple-choice\. Installed, but not loaded/);
    expect(asked.stderr).toContain(hint);
    const shown = await call(['inspect', file], { folder });
    expect(shown.stdout).toMatch(/^family +not recognised$/m);
    expect(shown.stdout).toContain(`plugins     ${hint}\n`);
    expect((await call(['inspect', vit], { folder })).stdout).not.toContain('onnx-lora-cells');
    const trained = await call(['train', file, '--data', folder], { folder });
    expect(trained.stderr).toMatch(
      /is of no known family\. Say what to do with --task; .* multiple-choice\. Installed, but/,
    );
  });

  it('is no matter where the adapter says no task', async () => {
    const { data, out, folder } = await train('section');
    const { config, tensors } = await loadAdapter(out);
    await new Adapter(config, tensors).save(path.join(folder, 'plain'));
    expect((await call(['eval', vit, '--data', data, '--adapter', path.join(folder, 'plain')])).code).toBe(0);
  });
});
