/** @file Tests of `onnx-lora train`: the folder that it leaves, settings, refusals, and how it stops. */

import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { loadAdapter } from '@onnx-lora/sdk';
import { FileLock } from '@onnx-lora/sdk/core';
import { describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../../fixtures/call.ts';

/** 60 rotated digits to train on and 30 to test on. */
function turnedDigits(folder: string): string {
  const data = path.join(folder, 'turned');
  writeDigits(path.join(data, 'train'), { perClass: 6, turned: true });
  writeDigits(path.join(data, 'test'), { perClass: 3, from: 820, turned: true });
  return data;
}

const quick = ['--batch-size', '20', '--lr', '5e-3', '--threads', '1'];

function lines(file: string): Record<string, unknown>[] {
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Step and loss of every step that a run's metrics.jsonl holds. */
function steps(out: string): unknown[][] {
  return lines(path.join(out, 'metrics.jsonl')).flatMap(({ type, step, loss }) =>
    type === 'step' ? [[step, loss]] : [],
  );
}

describe('a run', () => {
  it('leaves config, metrics, checkpoints, adapter and report, and learns', async () => {
    const folder = temporaryFolder();
    const data = turnedDigits(folder);
    const out = path.join(folder, 'runs/a');
    const { code, stdout, stderr } = await call([
      'train', '--model', vit, '--data', data, '--out', out, '--steps', '25', '--targets', 'all-linear', '--checkpoint-every', '5', '--json', ...quick,
    ]); // prettier-ignore
    expect(code).toBe(0);
    expect(readdirSync(out).sort()).toEqual([
      'adapter',
      'checkpoints',
      'config.yaml',
      'draws.json',
      'metrics.jsonl',
      'report.html',
      'trained-on.txt',
    ]);
    expect(readdirSync(path.join(out, 'checkpoints')).sort()).toEqual(['step-15', 'step-20', 'step-25']);

    const summary = JSON.parse(stdout) as Record<string, unknown>;
    const told = lines(path.join(out, 'metrics.jsonl'));
    expect(told.filter(({ type }) => type === 'checkpoint').map(({ step }) => step)).toEqual([5, 10, 15, 20, 25]);
    const logged = told.filter(({ type }) => type !== 'checkpoint');
    expect(logged.map(({ type }) => type)).toEqual(['evaluation', ...Array<string>(25).fill('step'), 'evaluation']);
    expect(logged.slice(1, -1).map(({ step }) => step)).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
    expect(summary).toMatchObject({
      steps: 25,
      stopped: false,
      before: logged[0]!['metrics'],
      after: logged.at(-1)!['metrics'],
    });
    const losses = logged.slice(1, -1).map(({ loss }) => loss as number);
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);

    // The checkpoint of a step is that step's, not a later one's.
    const [last, earlier] = await Promise.all(
      ['step-25', 'step-20'].map((name) => loadAdapter(path.join(out, 'checkpoints', name))),
    );
    const final = await loadAdapter(path.join(out, 'adapter'));
    expect([...final.tensors]).toEqual([...last!.tensors]);
    expect([...final.tensors]).not.toEqual([...earlier!.tensors]);

    // A pipe gets a few plain lines.
    expect(stderr).not.toContain('\u001B');
    expect(stderr.split('\n').length).toBeLessThan(20);
    expect(stderr).toContain('trainable params: 71,504 || all params: 611,418 || trainable%: 11.6948 (37 modules)');
  });

  it('checkpoints hold what the adapter was at their step', async () => {
    const folder = temporaryFolder();
    writeDigits(path.join(folder, 'digits'), { perClass: 4, classes: [3, 8] });
    const common = ['train', vit, '--data', path.join(folder, 'digits'), '--schedule', 'constant', '--quiet', ...quick];
    expect(
      (await call([...common, '--steps', '4', '--checkpoint-every', '2', '--out', path.join(folder, 'a')])).code,
    ).toBe(0);
    expect((await call([...common, '--steps', '2', '--out', path.join(folder, 'b')])).code).toBe(0);
    const [halfway, short] = await Promise.all([
      loadAdapter(path.join(folder, 'a/checkpoints/step-2')),
      loadAdapter(path.join(folder, 'b/adapter')),
    ]);
    expect([...halfway.tensors]).toEqual([...short.tensors]);
  });

  it('can be repeated from its config.yaml, flags going first', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    writeDigits(data, { perClass: 4, classes: [3, 8] });
    const first = path.join(folder, 'first');
    const second = path.join(folder, 'second');
    const third = path.join(folder, 'third');
    expect(
      (await call(['train', vit, '--data', data, '--out', first, '--steps', '2', '--r', '2', '--quiet', ...quick]))
        .code,
    ).toBe(0);
    const config = path.join(first, 'config.yaml');
    expect(parse(readFileSync(config, 'utf8'))).toMatchObject({
      model: vit,
      task: 'image-classification',
      r: 2,
      'lora-alpha': 4,
      steps: 2,
      'batch-size': 20,
      lr: 0.005,
      seed: 0,
    });
    expect((await call(['train', '--config', config, '--out', second, '--quiet'])).code).toBe(0);
    expect((await call(['train', '--config', config, '--out', third, '--seed', '7', '--quiet'])).code).toBe(0);
    // The family's usual targets are written down, and left out of the command in the report.
    expect((parse(readFileSync(config, 'utf8')) as { targets: string[] }).targets).toHaveLength(12);
    expect(readFileSync(path.join(first, 'report.html'), 'utf8')).not.toContain('--targets');
    const [a, b, c] = [first, second, third].map((run) =>
      readFileSync(path.join(run, 'adapter/adapter_model.safetensors')),
    );
    expect(b).toEqual(a);
    expect(c).not.toEqual(a);
  });

  it('starts where --init says, and leaves an adapter for the base as it is', async () => {
    const folder = temporaryFolder();
    const data = turnedDigits(folder);
    const out = path.join(folder, 'run');
    const flags = ['--init', 'corda', '--init-batches', '1', '--steps', '3', '--r', '4', '--no-eval', ...quick];
    await callJson('train', vit, '--data', data, '--out', out, ...flags);
    expect(parse(readFileSync(path.join(out, 'config.yaml'), 'utf8'))).toMatchObject({
      init: 'corda',
      'init-batches': 1,
    });
    const { config, tensors } = await loadAdapter(path.join(out, 'adapter'));
    expect(config).toMatchObject({ r: 8, loraAlpha: 16, initLoraWeights: true });
    expect([...tensors.values()][0]!.dims[0]).toBe(8);
    const losses = lines(path.join(out, 'metrics.jsonl')).map(({ loss }) => loss as number);
    expect(losses[2]).toBeLessThan(losses[0]!);
  });

  it('draws one line for who watches', async () => {
    const folder = temporaryFolder();
    writeDigits(path.join(folder, 'digits'), { perClass: 2, classes: [3, 8] });
    const argv = [
      'train',
      vit,
      '--data',
      path.join(folder, 'digits'),
      '--out',
      path.join(folder, 'run'),
      '--steps',
      '2',
      ...quick,
    ];
    const { stderr } = await call(argv, { isTTY: true });
    expect(stderr).toContain('\r\u001B[2Kstep');
    expect(stderr).toMatch(/step 2\/2 {2}loss \d\.\d{4} {2}lr \d\.\d\de-\d {2}\d+ samples\/s {2}0:00/);
  });
});

describe('--precision auto', () => {
  it('times steps, names what takes no part, and trains as the chosen precision does', async () => {
    const folder = temporaryFolder();
    const data = turnedDigits(folder);
    const trained = async (out: string, ...precision: string[]): Promise<[string, Buffer]> => {
      const place = path.join(folder, out);
      const run = ['train', vit, '--data', data, '--out', place, '--steps', '3', '--no-eval', ...quick, ...precision];
      const { code, stderr } = await call(run);
      expect(code, stderr).toBe(0);
      return [stderr, readFileSync(path.join(place, 'adapter/adapter_model.safetensors'))];
    };
    // Its products are too small for integers, so float32 is the only choice.
    const [told, chosen] = await trained('auto', '--precision', 'auto');
    expect(told).toMatch(/^precision int8 is left out: all weights of ".*" are small/m);
    expect(told).toMatch(/^precision float32 on cpu, by the time of a step: float32 \d+ ms$/m);
    expect(parse(readFileSync(path.join(folder, 'auto/config.yaml'), 'utf8'))).toMatchObject({ precision: 'float32', provider: 'cpu' }); // prettier-ignore
    const [, plain] = await trained('plain', '--precision', 'float32', '--provider', 'cpu');
    expect(chosen.equals(plain)).toBe(true);
  });

  it('is refused where nothing is trained, and on a provider without a choice', async () => {
    const folder = temporaryFolder();
    const { code, stderr } = await call(['eval', vit, '--data', folder, '--precision', 'auto']);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^error: --precision auto is for train alone/)]);
    const other = await call([
      'train',
      vit,
      '--data',
      turnedDigits(folder),
      '--precision',
      'auto',
      '--provider',
      'dml',
    ]);
    expect(other.stderr).toMatch(/--precision auto has no choice on the provider "dml"\. Name the precision\./);
  });
});

describe('--validation', () => {
  it('holds a fraction of flat folders out, and measures before and after on it, as eval does', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    const out = path.join(folder, 'run');
    writeDigits(data, { perClass: 10, turned: true });
    const common = ['--data', data, '--validation', '0.2', '--seed', '3', '--threads', '1', '--batch-size', '20'];
    const { before, after, intervals } = await callJson<
      Record<'before' | 'after', Record<string, number>> & { intervals: unknown }
    >(
      'train', vit, ...common, '--lr', '5e-3', '--steps', '20', '--targets', 'all-linear', '--out', out,
    ); // prettier-ignore
    expect(after['accuracy']).toBeGreaterThan(before['accuracy']!);
    expect(await callJson('eval', vit, ...common)).toEqual({
      ...before,
      examples: 20,
      intervals: expect.anything() as unknown,
    });
    expect(await callJson('eval', vit, ...common, '--adapter', out)).toEqual({
      ...after,
      examples: 20,
      trainedOn: 0,
      intervals,
    });

    const report = readFileSync(path.join(out, 'report.html'), 'utf8');
    expect(report).toContain('Metrics on 20 held-out examples');
    expect(report).toContain('Confusion matrix before');
    expect(report).toContain('Confusion matrix after training');
    expect(report).toContain('--validation 0.2');
    expect(parse(readFileSync(path.join(out, 'config.yaml'), 'utf8'))).toMatchObject({ validation: 0.2 });
  });

  it('takes another folder', async () => {
    const folder = temporaryFolder();
    const held = path.join(folder, 'held');
    writeDigits(path.join(folder, 'digits'), { perClass: 2, classes: [3, 8] });
    writeDigits(held, { perClass: 3, from: 800, classes: [3, 8] });
    const out = path.join(folder, 'run');
    const config = path.join(folder, 'run.yaml');
    writeFileSync(config, `validation: ${held}\n`);
    const argv = ['train', vit, '--data', path.join(folder, 'digits'), '--config', config, '--steps', '1'];
    expect((await call([...argv, '--out', out, '--quiet', ...quick])).code).toBe(0);
    expect(lines(path.join(out, 'metrics.jsonl'))[0]).toMatchObject({ type: 'evaluation', step: 0, examples: 6 });
  });
});

describe('a folder with something in it', () => {
  it('is refused unless --overwrite, which replaces the run and nothing else', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    writeDigits(data, { perClass: 2, classes: [3, 8] });
    const out = path.join(folder, 'run');
    mkdirSync(path.join(out, 'adapter'), { recursive: true });
    writeFileSync(path.join(out, 'adapter', 'old'), '');
    writeFileSync(path.join(out, 'notes.txt'), 'mine');
    const argv = ['train', vit, '--data', data, '--out', out, '--steps', '1', '--quiet', ...quick];
    const refused = await call(argv);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('is not empty. Name another with --out, or pass --overwrite');
    expect(readdirSync(out).sort()).toEqual(['adapter', 'notes.txt']);
    expect((await call([...argv, '--overwrite'])).code).toBe(0);
    expect(readFileSync(path.join(out, 'notes.txt'), 'utf8')).toBe('mine');
    expect(readdirSync(path.join(out, 'adapter')).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  });
});

describe('a folder in which a process trains', () => {
  const argv = (folder: string): string[] => {
    writeDigits(path.join(folder, 'digits'), { perClass: 2, classes: [3, 8] });
    return ['train', vit, '--data', path.join(folder, 'digits'), '--out', path.join(folder, 'run'), ...quick];
  };

  it('is refused to others, also with --overwrite and --resume, and free when that ends', async () => {
    const folder = temporaryFolder();
    const out = path.join(folder, 'run');
    const words = argv(folder);
    const running = call([...words, '--steps', '100000']);
    await vi.waitFor(() => expect(lines(path.join(out, 'metrics.jsonl')).length).toBeGreaterThan(2), 20_000);
    const config = readFileSync(path.join(out, 'config.yaml'));
    for (const other of [words, [...words, '--overwrite'], ['train', '--resume', out]]) {
      const { code, stderr } = await call([...other, '--quiet']);
      expect(stderr).toContain(`"${out}" is being trained in by process ${process.pid} on`);
      expect(code).toBe(2);
    }
    expect(readFileSync(path.join(out, 'config.yaml'))).toEqual(config);
    process.emit('SIGINT');
    expect((await running).code).toBe(130);
    expect(readdirSync(out)).not.toContain('run.lock');
    expect(readdirSync(path.join(out, 'checkpoints'))).not.toContain('.lock');
  });

  it('goes to one of two that begin at a time', async () => {
    const folder = temporaryFolder();
    const words = [...argv(folder), '--steps', '2', '--quiet'];
    const outcomes = await Promise.all([call(words), call(words)]);
    expect(outcomes.map(({ code }) => code).sort((a, b) => a - b)).toEqual([0, 2]);
    expect(outcomes.map(({ stderr }) => stderr).join('')).toMatch(/is being trained in by process|is not empty/);
    expect(steps(path.join(folder, 'run')).map(([step]) => step)).toEqual([1, 2]);
  });

  it('goes to the next when that was killed', async () => {
    const folder = temporaryFolder();
    const out = path.join(folder, 'run');
    mkdirSync(path.join(out, 'checkpoints'), { recursive: true });
    const words = [...argv(folder), '--steps', '2', '--quiet'];
    expect((await call([...words, '--overwrite'])).code).toBe(0);
    // As a process leaves it whose number nobody has any more.
    const [machine, boot, , started, thread, id] = ownName().split('-');
    const owner = [machine, boot, (2 ** 22 - 1).toString(36), started, thread, id].join('-');
    for (const file of [path.join(out, 'run.lock'), path.join(out, 'checkpoints/.lock')])
      writeFileSync(file, JSON.stringify({ owner, pid: 2 ** 22 - 1, host: 'here', since: 'then' }));
    expect((await call(['train', '--resume', out, '--quiet'])).stderr).toBe('');
    expect(readdirSync(out)).not.toContain('run.lock');
  });
});

/** How this process calls itself in a lock. */
function ownName(): string {
  const file = path.join(temporaryFolder(), 'lock');
  const lock = FileLock.take(file) as FileLock;
  const { owner } = JSON.parse(readFileSync(file, 'utf8')) as { owner: string };
  lock.release();
  return owner;
}

describe('--from', () => {
  it('trains on from a run, with its modules and rank, and measures that before', async () => {
    const folder = temporaryFolder();
    const data = turnedDigits(folder);
    const [first, second] = [path.join(folder, 'first'), path.join(folder, 'second')];
    const words = ['train', vit, '--data', data, ...quick];
    const { after } = await callJson<{ after: unknown }>(...words, '--r', '3', '--steps', '4', '--out', first);
    const begun = await callJson<{ before: unknown }>(...words, '--from', first, '--steps', '2', '--out', second);
    expect(begun.before).toEqual(after);
    const config = parse(readFileSync(path.join(second, 'config.yaml'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ from: first, steps: 2 });
    expect(Object.keys(config)).not.toEqual(expect.arrayContaining(['r']));
    const [a, b] = await Promise.all([first, second].map((run) => loadAdapter(path.join(run, 'adapter'))));
    expect(b!.config).toEqual(a!.config);
    expect([...b!.tensors.keys()]).toEqual([...a!.tensors.keys()]);
    expect(readFileSync(path.join(second, 'report.html'), 'utf8')).toContain(`--from ${first}`);
    expect((await call(['train', '--resume', second, '--quiet'])).code).toBe(0);
    for (const [flags, message] of [
      [['--from', first, '--r', '4'], '--from starts from an adapter with its own settings, and --r is'],
      [['--from', path.join(folder, 'none')], 'There is no adapter'],
      [['--from', first, '--out', first, '--overwrite'], 'would be overwritten'],
    ] as const) {
      const { code, stderr } = await call([...words, '--out', path.join(folder, 'x'), ...flags, '--quiet']);
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
  });
});

describe('stopping', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s saves the run so far and exits with %i', async (signal, exitCode) => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    const out = path.join(folder, 'run');
    writeDigits(data, { perClass: 2, classes: [3, 8] });
    const before = process.listenerCount(signal);
    const running = call(['train', vit, '--data', data, '--out', out, '--steps', '100000', '--json', ...quick]);
    await vi.waitFor(() => expect(lines(path.join(out, 'metrics.jsonl')).length).toBeGreaterThan(2), 20_000);
    process.emit(signal);
    const { code, stdout, stderr } = await running;
    expect(code).toBe(exitCode);
    expect(stderr).toContain('press Ctrl-C again to end at once');
    const summary = JSON.parse(stdout) as { steps: number; adapter: string; stopped: boolean };
    expect(summary.stopped).toBe(true);
    expect(readdirSync(path.join(out, 'checkpoints'))).toContain(`step-${summary.steps}`);
    expect((await loadAdapter(summary.adapter)).parameterCount).toBe(18_432);
    expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain('of 100,000 steps');
    // The second signal finds the system's own handling.
    expect(process.listenerCount(signal)).toBe(before);
  });

  it('a loss that is not finite leaves the checkpoints, and says where', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    const out = path.join(folder, 'run');
    writeDigits(data, { perClass: 2, classes: [3, 8] });
    const argv = [
      'train',
      vit,
      '--data',
      data,
      '--out',
      out,
      '--steps',
      '9',
      '--lr',
      '1e30',
      '--checkpoint-every',
      '1',
    ];
    const { code, stderr } = await call([...argv, '--quiet']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/The batch held the examples (\d \(.*\.png\)(, | and )?){4}\./);
    expect(stderr).toContain(
      `Start over with a tenth of the rate: onnx-lora train --config ${path.join(out, 'config.yaml')} --lr 1e+29 --overwrite`,
    );
    expect(readdirSync(path.join(out, 'checkpoints'))).toEqual(['step-1']);
    // The command is one that is taken, and leads to the next.
    const [, command] = /onnx-lora (train .*)$/m.exec(stderr)!;
    const again = await call([...command!.split(' '), '--quiet']);
    expect(again.stderr).toMatch(/^error: Step 2: The (loss|gradient) became .* --lr 1e\+28 --overwrite/);
  });

  it('a loss that is not finite ends the run without an adapter', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    const out = path.join(folder, 'run');
    writeDigits(data, { perClass: 2, classes: [3, 8] });
    const { code, stdout, stderr } = await call([
      'train',
      vit,
      '--data',
      data,
      '--out',
      out,
      '--steps',
      '50',
      '--lr',
      '1e12',
      '--quiet',
    ]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: Step \d+: The (loss|gradient) became (NaN|Infinity)\. Lower the learning rate/);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(readdirSync(out).sort()).toEqual(['checkpoints', 'config.yaml', 'metrics.jsonl', 'trained-on.txt']);
  });
});

describe('--resume', () => {
  it('continues after Ctrl-C, and ends with the files of a run that was never interrupted', async () => {
    const folder = temporaryFolder();
    const data = turnedDigits(folder);
    const common = ['--data', data, '--steps', '12', '--eval-every', '4', '--load-best', '--tensorboard', ...quick];
    const whole = path.join(folder, 'whole');
    const { seconds: _, out: __, ...expected } = await callJson<Record<string, unknown>>(
      'train', vit, ...common, '--out', whole,
    ); // prettier-ignore

    const out = path.join(folder, 'night run');
    const running = call(['train', vit, ...common, '--out', out]);
    await vi.waitFor(() => expect(steps(out).length).toBeGreaterThan(4), 20_000);
    process.emit('SIGINT');
    const stopped = await running;
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toContain(`To continue: onnx-lora train --resume '${out}'`);
    const reached = steps(out).length;
    expect(reached).toBeLessThan(12);

    // As a process that was killed leaves it: steps beyond the checkpoint, and half a line.
    appendFileSync(path.join(out, 'metrics.jsonl'), `{"type":"step","step":${reached + 1},"loss":9}\n{"type":"st`);
    const { code, stdout, stderr } = await call(['train', '--resume', out, '--json']);
    expect(code).toBe(0);
    expect(stderr).toContain(`continuing after step ${reached}`);
    const result = JSON.parse(stdout) as Record<string, string>;
    expect(result).toMatchObject({
      ...expected,
      adapter: path.join(out, 'adapter'),
      report: path.join(out, 'report.html'),
    });
    for (const name of ['adapter_model.safetensors', 'adapter_config.json']) {
      expect(readFileSync(path.join(out, 'adapter', name))).toEqual(readFileSync(path.join(whole, 'adapter', name)));
    }
    expect(steps(out)).toEqual(steps(whole));
    expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain('accuracy on held-out data');
    expect(readdirSync(path.join(out, 'tensorboard'))).toHaveLength(2);
  });

  it('continues with what may change, which the run then notes', async () => {
    const folder = temporaryFolder();
    const out = path.join(folder, 'run');
    const data = turnedDigits(folder);
    await callJson('train', vit, '--data', data, '--out', out, '--steps', '2', '--no-eval', ...quick);
    expect(lines(path.join(out, 'metrics.jsonl')).map(({ type }) => type)).not.toContain('evaluation');
    expect(parse(readFileSync(path.join(out, 'config.yaml'), 'utf8'))).toMatchObject({ eval: false, lr: 0.005 });
    const changed = [
      '--lr',
      '1e-3',
      '--steps',
      '4',
      '--schedule',
      'cosine',
      '--on-bad-loss',
      'skip',
      '--checkpoint-every',
      '1',
    ];
    const { code, stderr } = await call(['train', '--resume', out, ...changed]);
    expect(code).toBe(0);
    expect(stderr).toContain(
      'From step 2 on: steps was 2 and is 4; lr was 0.005 and is 0.001; schedule was linear and is cosine; onBadLoss was stop and is skip.',
    );
    expect(steps(out).map(([step]) => step)).toEqual([1, 2, 3, 4]);
    expect(lines(path.join(out, 'metrics.jsonl')).filter(({ type }) => type === 'warning')).toHaveLength(1);
    expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain('From step 2 on');
    // And once more, without a word about them.
    expect(parse(readFileSync(path.join(out, 'config.yaml'), 'utf8'))).toMatchObject({
      eval: false,
      lr: 0.001,
      steps: 4,
    });
    expect((await call(['train', '--resume', out])).stderr).not.toContain('From step');
  });

  it('of a finished run measures nothing twice, whatever metrics.jsonl has been through', async () => {
    const folder = temporaryFolder();
    const out = path.join(folder, 'run');
    const data = turnedDigits(folder);
    const first = await callJson<Record<string, unknown>>(
      'train',
      vit,
      '--data',
      data,
      '--out',
      out,
      '--steps',
      '2',
      ...quick,
    );
    const metrics = path.join(out, 'metrics.jsonl');
    const before = readFileSync(metrics, 'utf8');
    for (const damage of [
      '',
      '{"type":"st',
      '{"type":"evaluation","step":1}\n',
      '{"type":"step","step":1}\n',
      'null\n',
      '\0\0\n',
    ]) {
      writeFileSync(metrics, damage.endsWith('\n') ? damage + before : before + damage);
      const { code, stdout, stderr } = await call(['train', '--resume', out, '--json']);
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ before: first['before'], after: first['after'] });
      expect(stderr.includes('1 line of metrics.jsonl could not be read')).toBe(damage.endsWith('\n'));
      expect(readFileSync(metrics, 'utf8')).toBe(before);
    }
    rmSync(metrics);
    mkdirSync(metrics);
    const { code, stderr } = await call(['train', '--resume', out, '--quiet']);
    expect(stderr).toContain(`The run cannot be written to "${out}": "${metrics}" is no file.`);
    expect(code).toBe(2);
  });

  it('starts over where no checkpoint was reached', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    writeDigits(data, { perClass: 2, classes: [3, 8] });
    const out = path.join(folder, 'run');
    await callJson('train', vit, '--data', data, '--out', out, '--steps', '2', ...quick);
    rmSync(path.join(out, 'checkpoints'), { recursive: true });
    rmSync(path.join(out, 'adapter'), { recursive: true });
    const { code, stderr } = await call(['train', '--resume', out]);
    expect(code).toBe(0);
    expect(stderr).toContain('The run had not reached its first checkpoint, so it starts over.');
    expect(steps(out).map(([step]) => step)).toEqual([1, 2]);
    expect(existsSync(path.join(out, 'adapter'))).toBe(true);
  });

  it('refuses other settings, other folders, and what it has no use for', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    writeDigits(data, { perClass: 2, classes: [3, 8] });
    const out = path.join(folder, 'run');
    await callJson('train', vit, '--data', data, '--out', out, '--steps', '2', ...quick);
    const before = readFileSync(path.join(out, 'metrics.jsonl'));
    for (const [flags, message] of [
      [['--resume', out, '--seed', '5'], 'belongs to another run: seed was 0 and is 5. Resume with the settings'],
      [['--resume', out, '--overwrite'], 'so --overwrite has no use. Leave one of them out.'],
      [['--resume', out, '--out', 'other'], 'so --out has no use.'],
      [['--resume', folder], 'holds no config.yaml, so it is not the folder of a run.'],
      [[vit, '--data', data, '--out', path.join(folder, 'x'), '--min-delta', '1'], '--min-delta needs --patience'],
      [[vit, '--data', data, '--out', path.join(folder, 'x'), '--patience', '2'], 'The task holds no data out'],
      [
        [vit, '--data', data, '--out', path.join(folder, 'x'), '--eval-every', 'week'],
        '--eval-every must be a number of steps, or epoch, but it is "week".',
      ],
    ] as const) {
      const { code, stderr } = await call(['train', ...flags]);
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
    expect(readFileSync(path.join(out, 'metrics.jsonl'))).toEqual(before);
  });
});

describe('bad luck', () => {
  it('leaves out a file that cannot be read, and says so', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    writeDigits(data, { perClass: 3, classes: [3, 8] });
    const [broken] = readdirSync(path.join(data, '3'));
    writeFileSync(path.join(data, '3', broken!), 'no image');
    const argv = ['train', vit, '--data', data, '--steps', '2', ...quick];
    const refused = await call([...argv, '--out', path.join(folder, 'a')]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(broken);
    const out = path.join(folder, 'b');
    const { code, stdout, stderr } = await call([...argv, '--on-bad-sample', 'skip', '--out', out]);
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`warning: left out \\(1 so far\\): .*${broken}`));
    expect(stdout).toContain('left out 1 example that could not be read');
    expect(readFileSync(path.join(out, 'report.html'), 'utf8')).toContain('examples left out: 1');
  });

  it('leaves out a held-out file that cannot be read, before, during and after', async () => {
    const folder = temporaryFolder();
    const data = turnedDigits(folder);
    const [broken] = readdirSync(path.join(data, 'test/3'));
    writeFileSync(path.join(data, 'test/3', broken!), 'no image');
    const argv = ['train', vit, '--data', data, '--steps', '2', '--eval-every', '1', ...quick];
    expect((await call([...argv, '--out', path.join(folder, 'a')])).code).toBe(2);
    const out = path.join(folder, 'b');
    const { code, stderr } = await call([...argv, '--on-bad-sample', 'skip', '--out', out]);
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`a held-out example is left out: .*${broken}`));
    // Before and after each step: the last is of the adapter that is saved, and is not measured again.
    const measured = lines(path.join(out, 'metrics.jsonl')).filter(({ type }) => type === 'evaluation');
    expect(measured.map(({ step, examples, intervals }) => [step, examples, intervals !== undefined])).toEqual([
      [0, 29, true],
      [1, 29, false],
      [2, 29, true],
    ]);
    expect(stderr.match(/after: /g)).toHaveLength(1);
  });

  it('stops early when nothing gets better', async () => {
    const folder = temporaryFolder();
    const data = turnedDigits(folder);
    const { code, stdout } = await call([
      'train', vit, '--data', data, '--out', path.join(folder, 'run'), '--steps', '40', '--eval-every', '1', '--patience', '2', '--min-delta', '2', '--metric', 'loss:higher', '--quiet', ...quick,
    ]); // prettier-ignore
    expect(code).toBe(0);
    expect(stdout).toContain('Ended early, no longer getting better, after 3 steps');
    expect(stdout).toMatch(/best {5}[\d.]+ at step \d/);
  });
});

describe('a disk that refuses', () => {
  it('the adapter leaves the checkpoint, from which the run can be ended once more', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    const out = path.join(folder, 'run');
    writeDigits(data, { perClass: 2, classes: [3, 8] });
    const files = createRequire(import.meta.url)('node:fs') as { writeSync: (...words: unknown[]) => number };
    const original = files.writeSync;
    files.writeSync = (...words) => {
      // At the first step, however fast the others follow. Refused to everybody, also to those who may write anywhere.
      if (String(words[1]).startsWith('{"type":"step"')) writeFileSync(path.join(out, 'adapter'), '');
      return original(...words);
    };
    syncBuiltinESMExports();
    const { code, stderr } = await call([
      'train', vit, '--data', data, '--out', out, '--steps', '6', '--quiet', ...quick,
    ]).finally(() => {
      files.writeSync = original;
      syncBuiltinESMExports();
    }); // prettier-ignore
    expect(code).toBe(2);
    expect(stderr).toContain(`"${path.join(out, 'adapter')}" could not be written`);
    expect(stderr).toContain(
      `in "${path.join(out, 'checkpoints/step-6')}", which serves as an adapter too; once the cause is mended, go on with:`,
    );
    rmSync(path.join(out, 'adapter'));
    expect((await call(['train', '--resume', out, '--quiet'])).code).toBe(0);
    const [saved, kept] = await Promise.all([
      loadAdapter(path.join(out, 'adapter')),
      loadAdapter(path.join(out, 'checkpoints/step-6')),
    ]);
    expect([...saved.tensors]).toEqual([...kept.tensors]);
  });

  it('lines of metrics.jsonl does not end the run', async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    const out = path.join(folder, 'run');
    writeDigits(data, { perClass: 2, classes: [3, 8] });
    const files = createRequire(import.meta.url)('node:fs') as { writeSync: (...words: unknown[]) => number };
    const original = files.writeSync;
    let written = 0;
    files.writeSync = (...words) => {
      if (String(words[1]).startsWith('{"type":"step"') && written++ > 1)
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      return original(...words);
    };
    syncBuiltinESMExports();
    try {
      const { code, stderr } = await call(['train', vit, '--data', data, '--out', out, '--steps', '6', ...quick]);
      expect(code).toBe(0);
      expect(stderr.split('metrics.jsonl cannot be written (ENOSPC: no space left on device, write)')).toHaveLength(2);
    } finally {
      files.writeSync = original;
      syncBuiltinESMExports();
    }
    expect(steps(out)).toHaveLength(2);
    expect(existsSync(path.join(out, 'adapter'))).toBe(true);
  });
});

describe('what is wrong before the first step', () => {
  it.each([
    [['--targets', 'nope'], 'No module in'],
    [['--task', 'image-clasification'], 'Did you mean "image-classification"'],
    [['--provider', 'gpu'], 'There is no provider "gpu". Did you mean "cpu"?'],
    [['--precision', 'int9'], '--precision must be one of float32, int8, int8-backward, float16, bfloat16, int4, nf4'],
    [['--precision', 'float16'], 'precision "float16" computes on a GPU, but the provider is "auto".'],
    [
      ['--precision', 'int8', '--provider', 'cuda'],
      'precision "int8" computes on the CPU, but the provider is "cuda".',
    ],
    [['--steps', '0'], '--steps must be a whole number of at least 1, but it is "0".'],
    [['--lr', 'fast'], '--lr must be a number above 0, but it is "fast".'],
    [['--validation', '1.5'], '--validation must be a folder, or a fraction between 0 and 1 such as 0.2'],
    [['--validation', 'held'], 'There is no folder "held".'],
    [['--validation', '0.5'], 'can be held out at a fraction of 0.5'],
    [['--seed', ''], '--seed must be a whole number of at least 0, but it is "".'],
    [['--model', 'other'], 'Two models are named'],
    [['--init', 'pizza'], 'There is no initialisation "pizza" (--init). Did you mean "pissa"'],
    [['--init', 'pizza'], 'It can be default, gaussian, orthogonal, zeros, pissa, olora, mica, corda,'],
    [
      ['--init', 'pissa', '--r', '99'],
      'cannot start with "pissa": the layer has a weight [96, 96], which has 96 components, not 99',
    ],
    [['--init', 'loftq'], 'Name it with original (--original)'],
    [['--init', 'loftq', '--original', vit], 'so there is nothing lost that "loftq" could make up for'],
    [['--original', vit], 'which only initLoraWeights (--init) "loftq" reads'],
    [['--init-batches', '0'], '--init-batches must be a whole number of at least 1, but it is "0".'],
  ])('%j leaves no folder', async (flags, message) => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    const out = path.join(folder, 'run');
    writeDigits(data, { perClass: 1, classes: [3, 8] });
    const { code, stderr } = await call(['train', vit, '--data', data, '--out', out, ...flags]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(existsSync(out)).toBe(false);
  });
});

it('eval reads the run folder as an adapter, and gives the metrics that the run found', async () => {
  const folder = temporaryFolder();
  const data = turnedDigits(folder);
  const out = path.join(folder, 'run');
  const summary = await callJson<{ before: unknown; after: unknown }>(
    'train',
    vit,
    '--data',
    data,
    '--out',
    out,
    '--steps',
    '8',
    ...quick,
  );
  expect(await callJson('eval', vit, '--data', data, '--threads', '1', '--batch-size', '20')).toEqual({
    ...(summary.before as object),
    examples: 30,
    intervals: expect.anything() as unknown,
  });
  expect(await callJson('eval', vit, '--data', data, '--threads', '1', '--batch-size', '20', '--adapter', out)).toEqual(
    { ...(summary.after as object), examples: 30, trainedOn: 0, intervals: expect.anything() as unknown },
  );
});

it('says while it trains, at the end, in the report and by its exit code that a run has diverged', async () => {
  const folder = temporaryFolder();
  writeDigits(path.join(folder, 'digits'), { perClass: 5 });
  const run = async (
    name: string,
    ...more: string[]
  ): Promise<{ code: number; stdout: string; stderr: string; report: string }> => {
    const out = path.join(folder, name);
    const words = ['--data', path.join(folder, 'digits'), '--out', out, '--steps', '16', '--threads', '1', '--targets', 'all-linear']; // prettier-ignore
    const told = await call(['train', vit, ...words, ...more, '--json']);
    return { ...told, report: readFileSync(path.join(out, 'report.html'), 'utf8') };
  };
  const diverged = await run('diverged', '--lr', '50', '--validation', '0');
  expect(diverged.code).toBe(3);
  const { diverged: found } = JSON.parse(diverged.stdout) as {
    diverged: { step: number; start: number; loss: number };
  };
  expect(found.loss).toBeGreaterThan(2 * found.start);
  expect(found.step).toBeLessThan(16);
  const during = new RegExp(`The run has diverged: after step ${found.step} the loss is \\S+, and it began at \\S+\\. Train again with a lower learning rate, such as a tenth of it \\(5\\)`); // prettier-ignore
  expect(diverged.stderr).toMatch(during);
  expect(diverged.report).toMatch(during);
  expect(diverged.report).toContain(`<dd>The run has diverged</dd><dd class="why">At step ${found.step} the loss was`);
  expect(diverged.stderr).toMatch(
    /its adapter is of no use: at step \d+ .* onnx-lora train --config \S+ --lr 5 --overwrite/,
  );
  // Measured at its last step, where it may be better than before by chance: the verdict is on the losses none the less.
  const again = [
    'train',
    '--config',
    path.join(folder, 'diverged', 'config.yaml'),
    '--validation',
    '0.4',
    '--overwrite',
  ];
  const text = (await call(again)).stdout;
  expect(text).toMatch(/before, .* after\n/);
  expect(text.trimEnd().split('\n').at(-1)).toMatch(
    /^The run has diverged: at step \d+ the loss was \S+, and it began at \S+\. Its adapter is of no use\.$/,
  );
  const fine = await run('fine', '--lr', '1e-3', '--validation', '0');
  expect([fine.code, JSON.parse(fine.stdout)]).toEqual([
    0,
    expect.not.objectContaining({ diverged: expect.anything() }),
  ]);
});

it('says so, everywhere, when a training has made held-out data worse, and where to look', async () => {
  const folder = temporaryFolder();
  // Upright digits, which the model reads well.
  writeDigits(path.join(folder, 'digits'), { perClass: 5 });
  const run = async (name: string, lr: string): Promise<{ stdout: string; stderr: string; report: string }> => {
    const out = path.join(folder, name);
    const words = ['--data', path.join(folder, 'digits'), '--out', out, '--steps', '2', '--lr', lr, '--validation', '0.4', '--threads', '1']; // prettier-ignore
    const { stdout, stderr } = await call(['train', vit, ...words, '--json']);
    return { stdout, stderr, report: readFileSync(path.join(out, 'report.html'), 'utf8') };
  };
  const worse = await run('worse', '1');
  const { before, after, ...told } = JSON.parse(worse.stdout) as Record<string, { accuracy: number } | boolean>;
  expect((after as { accuracy: number }).accuracy).toBeLessThan((before as { accuracy: number }).accuracy);
  expect(told).toMatchObject({ worse: true, verdict: { outcome: 'harms', baseline: { name: 'the base' } } });
  const note =
    /the training has made it worse: accuracy was (?:0\.\d+|1) and is 0\.\d+ on 20 held-out examples\. Try a lower rate \(--lr 0\.1\)/i;
  expect(worse.stderr).toMatch(note);
  expect(worse.report).toMatch(note);
  const same = await run('same', '1e-9');
  // The same answers, so that every difference that is drawn is 0.
  expect(JSON.parse(same.stdout)).toMatchObject({ worse: false, verdict: { outcome: 'undecided', interval: [0, 0] } });
  expect(same.stderr + same.report).not.toMatch(/made it worse/);
});
