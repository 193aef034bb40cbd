/** @file Tests that a failure of a task says which task it is, and where it fails. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { golden, mlp } from '../../../fixtures/inits/mlp.ts';
import { tinyTask } from '../../../fixtures/tinyTask.ts';
import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { evaluate } from '../../model/evaluate.ts';
import { openModel } from '../../model/openModel.ts';
import { train } from '../../model/train.ts';
import { inferNode } from '../../ops/infer.ts';
import { float32 } from '../../runtime/tensor.ts';
import { guardedFactory, guardedTask } from './guardedTask.ts';
import type { BeginRequest, MeasureRequest, PreparedTask, ReportRequest, Task } from '../preparedTask.ts';
import type { Predictor } from '../predictor.ts';
import type { TaskFactory } from '../taskFactory.ts';
import type { RunnableModel, TaskModel } from '../taskModel.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-guard-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = path.join(folder, 'model.onnx');
writeOnnx(file, mlp((layer) => golden(`base.${layer}.weight`)).model);
const model = await openModel(file);

const y = float32([1, 2], [2]);
const AUTHOR = "Its author can mend it; the error's cause says where (--debug shows it).";

const boom = (): never => {
  throw new TypeError('boom.');
};

/** Everything fails, at once or later. */
function broken(members: Partial<PreparedTask> = {}): Promise<PreparedTask> {
  const prepared: PreparedTask = {
    train: { length: 1, get: boom },
    collate: () => Promise.reject(new TypeError('boom.')),
    loss: boom,
    metrics: boom,
    ...members,
  };
  return guardedTask({ name: 'cells', prepare: () => Promise.resolve(prepared) }).prepare({} as TaskModel);
}

async function failure(run: () => unknown): Promise<OnnxLoraError> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(OnnxLoraError);
    return error as OnnxLoraError;
  }
  throw new Error('it does not fail');
}

describe('a failure', () => {
  it.each<[string, Partial<PreparedTask>, (data: PreparedTask) => unknown]>([
    ['begin', { begin: boom }, (data) => data.begin!({} as BeginRequest)],
    ['collate', {}, (data) => data.collate([])],
    ['metrics', {}, (data) => data.metrics()],
    ['lossWeight', { lossWeight: boom }, (data) => data.lossWeight!({})],
    ['finish', { finish: boom }, (data) => data.finish!({} as ReportRequest)],
    ['report', { report: () => Promise.reject(new TypeError('boom.')) }, (data) => data.report!({} as ReportRequest)],
    ['measure', { measure: boom }, (data) => data.measure!({} as MeasureRequest)],
    ['probe', { head: { output: 'y', labels: [], probe: boom } }, (data) => data.head!.probe!({} as never)],
    ['result', { metrics: () => ({ update: () => {}, result: boom }) }, (data) => data.metrics().result()],
    [
      'confusion',
      { metrics: () => ({ update: () => {}, result: boom, confusion: boom }) },
      (data) => data.metrics().confusion!(),
    ],
  ])('in %s names task and function, and keeps its cause', async (where, members, run) => {
    const data = await broken(members);
    const error = await failure(() => run(data));
    expect([error.code, error.message]).toEqual([
      'PLUGIN_INVALID',
      `The task "cells" fails in ${where}: boom. ${AUTHOR}`,
    ]);
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  it('in prepare is one, also where nothing is prepared', async () => {
    const late = guardedTask({ name: 'cells', prepare: () => Promise.reject(new Error('no disk')) });
    const none = guardedTask({ name: 'cells', prepare: (() => Promise.resolve(undefined)) as never });
    expect((await failure(() => late.prepare({} as TaskModel))).message).toBe(
      `The task "cells" fails in prepare: no disk. ${AUTHOR}`,
    );
    expect((await failure(() => none.prepare({} as TaskModel))).message).toMatch(
      /^The task "cells" fails in prepare: /,
    );
  });

  it('that says what to do is left as it is', async () => {
    const own = new OnnxLoraError('DATA_INVALID', 'Line 3 has no label. Add one.');
    const data = await broken({ collate: () => Promise.reject(own) });
    expect(await failure(() => data.collate([]))).toBe(own);
  });

  it('of metrics lists the names that there are', async () => {
    const data = await broken({
      metrics: () => ({ update: (_, { labels }) => void labels!.data, result: () => ({}) }),
    });
    expect((await failure(() => data.metrics().update({ logits: y }, { y }))).message).toBe(
      `The task "cells" fails in update: Cannot read properties of undefined (reading 'data'). Outputs: logits; targets, which are what collate gives: y. ${AUTHOR}`,
    );
  });

  it('of a loss says which name is missing', async () => {
    const data = await broken({ loss: (g, { logit }) => g.Neg({ ...logit!, name: logit!.name }) });
    const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
    const value = { name: 'logits', type: 'float32', shape: [2] } as const;
    expect((await failure(() => data.loss(g, { logits: value }, {}))).message).toBe(
      `The task "cells" fails in loss: Cannot read properties of undefined (reading 'name'). It reads the output "logit", but that does not exist. Outputs: logits; targets, which are what collate gives: none. ${AUTHOR}`,
    );
  });
});

describe('metrics', () => {
  const resultOf = async (result: unknown): Promise<unknown> => {
    const data = await broken({ metrics: () => ({ update: () => {}, result: () => result as never }) });
    return data.metrics().result();
  };

  it.each([
    [{ accuracy: '0.5' }, 'the metric "accuracy" is "0.5", not a number'],
    [{ loss: 1, accuracy: undefined }, 'the metric "accuracy" is undefined, not a number'],
    [undefined, 'it gives undefined in place of metrics by their names'],
  ])('%j is refused', async (result, said) => {
    const error = await failure(() => resultOf(result));
    expect(error.message).toBe(`The task "cells" fails in result: ${said}. ${AUTHOR}`);
  });

  it('may be no finite number', async () => {
    expect(await resultOf({ spearman: NaN, loss: Infinity })).toEqual({ spearman: NaN, loss: Infinity });
  });

  it('that the task measures itself are looked at too', async () => {
    const data = await broken({ measure: () => Promise.resolve({ metrics: { accuracy: null as never } }) });
    expect((await failure(() => data.measure!({} as MeasureRequest))).message).toContain(
      'fails in measure: the metric "accuracy" is null, not a number.',
    );
  });
});

describe('what is guarded', () => {
  /** Keeps what it needs where only its own methods find it. */
  class Prepared implements Pick<PreparedTask, 'train' | 'collate' | 'loss' | 'metrics'> {
    readonly #answer = 42;

    get train(): PreparedTask['train'] {
      return { length: this.#answer, get: boom };
    }

    collate(): ReturnType<PreparedTask['collate']> {
      return Promise.resolve({ inputs: {}, targets: { y: float32([this.#answer], [1]) } });
    }

    loss(): never {
      return boom();
    }

    metrics(): ReturnType<PreparedTask['metrics']> {
      return new Collector();
    }
  }

  class Collector {
    #sum = 0;

    update(): void {
      this.#sum++;
    }

    result(): { readonly sum: number } {
      return { sum: this.#sum };
    }
  }

  it('keeps its this', async () => {
    const data = await guardedTask({ name: 'cells', prepare: () => Promise.resolve(new Prepared()) }).prepare(model);
    expect(data.train.length).toBe(42);
    expect([...(await data.collate([])).targets['y']!.data]).toEqual([42]);
    const collector = data.metrics();
    collector.update({}, {});
    expect(collector.result()).toEqual({ sum: 1 });
  });

  it('has no more than what was there, and is not guarded twice', async () => {
    const data = await broken();
    expect(Object.keys(data).sort()).toEqual(['collate', 'loss', 'metrics', 'train']);
    const again = await guardedTask({ name: 'other', prepare: () => Promise.resolve(data) }).prepare(model);
    expect(again).toBe(data);
    const whole = await broken({ validation: data.train, warnings: ['w'], notes: ['n'], outputs: ['o'], lossWeight: boom }); // prettier-ignore
    expect(whole).toMatchObject({ validation: data.train, warnings: ['w'], notes: ['n'], outputs: ['o'] });
    const collector = (await broken({ metrics: () => new Collector() })).metrics();
    expect(Object.keys(collector)).toEqual(['update', 'result']);
  });
});

describe('train and evaluate', () => {
  const lora = { r: 2, targetModules: ['fc1'] };
  const changed = (change: Partial<PreparedTask>): Task => ({
    name: 'cells',
    prepare: async (about) => ({ ...((await tinyTask({ held: 4 }).prepare(about)) as PreparedTask), ...change }),
  });

  it('tell of the task that fails', async () => {
    const collate = train(model, { task: changed({ collate: boom }), lora, steps: 1 });
    await expect(collate).rejects.toThrow('The task "cells" fails in collate: boom.');
    const loss: PreparedTask['loss'] = (g, { z }) => g.Neg({ ...z!, name: z!.name });
    await expect(train(model, { task: changed({ loss }), lora, steps: 1 })).rejects.toThrow(
      /^The task "cells" fails in loss: .*It reads the output "z", but that does not exist\. Outputs: .*; targets, .*: y\. /,
    );
    await expect(evaluate(model, { task: changed({ metrics: boom }) })).rejects.toThrow('fails in metrics: boom.');
  });

  it('leave the failure of an example to onBadSample', async () => {
    const train = { length: 2, get: () => Promise.reject(new Error('line 3 is broken')) };
    const failing = evaluate(model, { task: changed({ train, validation: train }), onBadSample: 'skip' });
    await expect(failing).rejects.toThrow('None of the 2 examples can be loaded. The first: line 3 is broken');
  });
});

describe('a factory', () => {
  class Factory implements TaskFactory {
    readonly name = 'cells';
    readonly description = 'Cells.';
    readonly #answer = 'a';

    create(): Task {
      return boom();
    }

    predictor(): ReturnType<NonNullable<TaskFactory['predictor']>> {
      const release = (): Promise<void> => Promise.reject(new Error(`${this.#answer} is held`));
      return Promise.resolve({
        async *predict() {
          yield { source: 0, prediction: { id: '1' } };
          throw new Error('line 2');
        },
        release,
        [Symbol.asyncDispose]: release,
      });
    }
  }

  it('and what it makes name the task too', async () => {
    const factory = guardedFactory(new Factory());
    expect(Object.keys(factory).sort()).toEqual(['create', 'description', 'name', 'predictor']);
    const created = await failure(() => factory.create({ data: 'x', seed: 0 }));
    expect(created.message).toBe(`The task "cells" fails in create: boom. ${AUTHOR}`);
    const predictor = await factory.predictor!({} as RunnableModel);
    const seen: unknown[] = [];
    const all = async (): Promise<void> => {
      for await (const { prediction } of predictor.predict(['x'])) seen.push(prediction);
    };
    expect((await failure(all)).message).toContain('The task "cells" fails in predict: line 2.');
    expect(seen).toEqual([{ id: '1' }]);
    expect((await failure(() => predictor.release())).message).toContain('fails in release: a is held.');
  });

  it('of the former contract is told what to change', async () => {
    const former = { feeds: boom, decode: boom } as unknown as Predictor;
    const factory = guardedFactory({ name: 'cells', description: 'Cells.', create: boom, predictor: () => Promise.resolve(former) }); // prettier-ignore
    expect((await failure(() => factory.predictor!({} as RunnableModel))).message).toBe(
      'The predictor of the task "cells" has no predict(). Its author must return filePredictor(model, { feeds, decode }, options), or recordPredictor(…) where files hold records.',
    );
    expect((await failure(() => broken({ decode: boom } as Partial<PreparedTask>))).message).toBe(
      'The task "cells" prepares decode(), which nothing calls. Its author must move it into what predictor() of the factory returns: filePredictor(model, { feeds, decode }, options).',
    );
  });
});
