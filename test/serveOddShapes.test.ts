/** @file Tests of tensors, records and files of odd sizes: each is answered, or refused as a client's mistake that names no place of this machine. */

import { fileURLToPath } from 'node:url';
import path from 'node:path';
import fc from 'fast-check';
import { openModel } from '@onnx-lora/sdk';
import { type LogEntry, serve, type Server } from '@onnx-lora/serve';
import { textPlugin } from '@onnx-lora/text';
import { visionPlugin } from '@onnx-lora/vision';
import { expect, it, onTestFinished } from 'vitest';
import { type Call, grpcClient } from '../packages/serve/fixtures/grpcClient.ts';
import { isNightly } from './support/nightly.ts';

const models = fileURLToPath(new URL('../docs/examples/models', import.meta.url));
const RUNS = isNightly ? 1000 : 40;

/** A server of an example's model, which must not fail. */
async function server(name: string): Promise<Server & { readonly call: Call }> {
  const failures: LogEntry[] = [];
  const model = await openModel(path.join(models, name), { plugins: [textPlugin, visionPlugin] });
  const running = await serve(model, { port: 0, grpc: { port: 0 }, onLog: (entry) => failures.push(entry) });
  onTestFinished(async () => {
    await running.close();
    expect(failures).toEqual([]);
  });
  return { ...running, call: grpcClient(running.grpcUrl!) };
}

/** Forbidden in answers: paths of the server, and words of ONNX Runtime and Node. */
const INNER = /(?:^|["'\s])\/(?:\w+\/)+|[A-Z]:\\|onnxruntime|ONNX Runtime|Non-zero status|TypeError|\.ts:\d/;

const size = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 1, 2, 3, 28) }, { weight: 1, arbitrary: fc.constantFrom(-1, 5000, 2 ** 31, 2 ** 53 - 1, 1.5) }); // prettier-ignore
const datatype = fc.constantFrom('FP32', 'INT64', 'FP16', 'BOOL', 'UINT8');

it.each([
  ['vit-mnist', [['pixel_values', 'FP32', [1, 3, 28, 28]]]],
  ['minilm-tiny', [['input_ids', 'INT64', [1, 5]], ['attention_mask', 'INT64', [1, 5]], ['token_type_ids', 'INT64', [1, 5]]]], // prettier-ignore
] as const)(
  '%s answers tensors of odd sizes, or refuses them',
  async (name, ports) => {
    const { url, call } = await server(name);
    const near = ports.map(([, type, dims]) =>
      fc.record({
        // Mostly the shape that is taken, with one size changed.
        shape: fc.oneof(
          fc
            .tuple(fc.nat(dims.length - 1), size)
            .map(([at, other]) => dims.map((each: number, i) => (i === at ? other : each))),
          fc.array(size, { maxLength: 6 }),
        ),
        type: fc.oneof({ weight: 5, arbitrary: fc.constant<string>(type) }, datatype),
        value: fc.constantFrom(0, 1, -1, 1e6),
      }),
    );
    const infer = async (asked: object): Promise<{ status: number; text: string }> => {
      const answer = await fetch(`${url}/v2/models/${name}/infer`, { method: 'POST', body: JSON.stringify(asked) });
      return { status: answer.status, text: await answer.text() };
    };
    const tensors = fc.tuple(fc.tuple(...near), fc.boolean()).map(([all, isSame]) =>
      ports.map(([input], i) => {
        // Where all have one shape, they are refused by nothing but the model.
        const { shape } = all[isSame ? 0 : i]!;
        const { type, value } = all[i]!;
        const count = shape.reduce((product, each) => product * each, 1);
        const data = Array<number>(Number.isInteger(count) && count >= 0 && count < 50_000 ? count : 1).fill(value);
        return { name: input, datatype: type, shape, data };
      }),
    );
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(tensors, async (inputs) => {
        const { status, text } = await infer({ inputs });
        seen.add(status);
        expect([200, 400], text).toContain(status);
        if (status !== 200) expect(text).not.toMatch(INNER);
        if (inputs.some(({ shape }) => shape.some((each) => !Number.isInteger(each)))) return;
        const shaped = inputs.map(({ name: input, datatype: type, shape }) => ({ name: input, datatype: type, shape: shape.map(String) })); // prettier-ignore
        const raw = inputs.map(({ data, datatype: type }) => Buffer.alloc(data.length * (type === 'INT64' ? 8 : 4)));
        const called = await call('ModelInfer', { model_name: name, inputs: shaped, raw_input_contents: raw });
        expect([0, 3], called.details).toContain(called.code);
        expect(called.details).not.toMatch(INNER);
      }),
      { numRuns: RUNS, seed: 15 },
    );
    expect(seen).toContain(400);
    const none = ports.map(([input, type, dims]) => ({ name: input, datatype: type, shape: [0, ...dims.slice(1)], data: [] })); // prettier-ignore
    const refused = await infer({ inputs: none });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain(`${ports[0][0]} as ${ports[0][1] === 'FP32' ? 'float32' : 'int64'} [0, `);
  },
  120_000,
);

it('records and files of odd sizes are answered, or refused', async () => {
  const texts = await server('minilm-tiny');
  const pictures = await server('vit-mnist');
  const ask = async (url: string, type: string, body: string | Uint8Array): Promise<void> => {
    const answer = await fetch(`${url}/predict`, { method: 'POST', headers: { 'content-type': type }, body });
    const text = await answer.text();
    expect([200, 400, 413, 415], text).toContain(answer.status);
    if (answer.status !== 200) expect(text).not.toMatch(INNER);
  };
  const value = fc.oneof(fc.string({ maxLength: 2000 }), fc.integer(), fc.constantFrom(null, true, [], {}, [1], '', '\u0000', '\ud800')); // prettier-ignore
  const records = fc.array(fc.dictionary(fc.constantFrom('text', 'label', '__proto__', ''), value), { maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(records, fc.uint8Array({ maxLength: 200 }), async (rows, bytes) => {
      await ask(texts.url, 'application/json', JSON.stringify({ records: rows }));
      for (const type of ['text/plain', 'text/csv', 'application/x-ndjson']) await ask(texts.url, type, bytes);
      await ask(pictures.url, 'image/png', bytes);
    }),
    { numRuns: RUNS, seed: 15 },
  );
}, 120_000);
