/** @file Opening, external data, sessions that read weights from the user's files, and writing. */

import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { vitModel } from '../../../../../test/fixtures/vit.ts';
import { cpuSession, difference, runOnce } from '../../../../../test/support/graphs.ts';
import { findSites } from '../../match/sites.ts';
import { type Feeds, float32, type Tensor } from '../../runtime/tensor.ts';
import { readBytes } from '../bytes.ts';
import { encodeModel } from './encode.ts';
import { openOnnx, writeOnnx } from './onnxFile.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import { attributeType, type ModelProto, type TensorProto } from '../proto.ts';
import { readTensor, tensorProto } from '../tensorData.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'onnx-lora-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const vit = (): ModelProto => vitModel({ hidden: 32, layers: 2, heads: 2, image: 16, patch: 8, classes: 3 });
const pixels: Feeds = {
  pixel_values: float32(
    Float32Array.from({ length: 2 * 3 * 256 }, (_, i) => Math.sin(i)),
    [2, 3, 16, 16],
  ),
};
const logits = async (model: ModelProto): Promise<Tensor> => (await runOnce(model, pixels))['logits']!;
const save = (name: string, model: ModelProto): string => {
  const file = join(folder, name);
  writeFileSync(file, Buffer.concat(encodeModel(model).map(readBytes)));
  return file;
};

/** The model with all tensors of the main graph in a file beside it, each at an odd offset. */
function external(model: ModelProto, location: string): { model: ModelProto; data: Uint8Array } {
  const parts: Uint8Array[] = [];
  let offset = 0;
  const initializer = model.graph!.initializer!.map(({ rawData, ...tensor }): TensorProto => {
    const raw = readBytes(rawData!);
    parts.push(new Uint8Array(3), raw);
    offset += 3 + raw.length;
    const entries = { location, offset: String(offset - raw.length), length: String(raw.length) };
    return {
      ...tensor,
      dataLocation: 1,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
    };
  });
  return { model: { ...model, graph: { ...model.graph, initializer } }, data: Buffer.concat(parts) };
}

const refusal = (file: string): string => {
  try {
    openOnnx(file);
  } catch (error) {
    expect(error).toMatchObject({
      name: 'OnnxLoraError',
      code: expect.stringMatching(/FILE_INVALID|MODEL_INVALID|FILE_NOT_FOUND/),
    });
    return (error as Error).message.replaceAll(folder, '…');
  }
  return 'no error';
};

describe('sessions', () => {
  test('of a model with weights inside compute what the model computes', async () => {
    const model = vit();
    const { model: opened } = openOnnx(save('model.onnx', model));
    const { bytes, folder: weights } = sessionModel(opened);
    expect(weights).toBeDefined();
    // The graph without the large weights, which the runtime reads from the user's file.
    expect(bytes.length).toBeLessThan(0.5 * statSync(join(folder, 'model.onnx')).size);
    expect(difference(await logits(opened), await logits(model))).toBe(0);
  });

  test('of a model with weights in files of two folders too', async () => {
    const model = vit();
    const half = Math.floor(model.graph!.initializer!.length / 2);
    const parts = [model.graph!.initializer!.slice(0, half), model.graph!.initializer!.slice(half)].map(
      (initializer, i) => external({ graph: { initializer } }, i === 0 ? 'a.data' : 'sub/b.data'),
    );
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'a.data'), parts[0]!.data);
    writeFileSync(join(folder, 'sub/b.data'), parts[1]!.data);
    const initializer = parts.flatMap(({ model: { graph } }) => graph!.initializer!);
    const { model: opened } = openOnnx(save('model.onnx', { ...model, graph: { ...model.graph, initializer } }));
    expect(difference(await logits(opened), await logits(model))).toBe(0);
  });

  test('of weights that Constant nodes hold, inside or in a file', async () => {
    const model = vit();
    const large = model.graph!.initializer!.filter(({ dims }) => dims?.length === 2);
    const rest = model.graph!.initializer!.filter(({ dims }) => dims?.length !== 2);
    const { model: outside, data } = external({ graph: { initializer: large } }, 'c.data');
    writeFileSync(join(folder, 'c.data'), data);
    for (const tensors of [large, outside.graph!.initializer!]) {
      const constants = tensors.map((t, i) => ({
        name: `constant_${i}`,
        opType: 'Constant',
        output: [t.name!],
        attribute: [{ name: 'value', type: attributeType.tensor, t }],
      }));
      const graph = { ...model.graph, initializer: rest, node: [...constants, ...model.graph!.node!] };
      const { model: opened } = openOnnx(save('model.onnx', { ...model, graph }));
      expect(findSites(opened.graph)).toHaveLength(findSites(model.graph!).length);
      expect(difference(await logits(opened), await logits(model))).toBe(0);
    }
  });
});

describe('external data', () => {
  const withLocation = (location: string): string => save('model.onnx', external(vit(), location).model);

  test('outside the folder is refused', () => {
    expect(refusal(withLocation('../w.data'))).toMatchInlineSnapshot(
      `""…/model.onnx": the data of tensor "vit.embeddings.patch_embeddings.projection.weight" should lie in "../w.data", which is outside the model's folder. Such a path is refused: it could read any file."`,
    );
    expect(refusal(withLocation('/etc/passwd'))).toContain("outside the model's folder");
    expect(refusal(withLocation('sub/../../w.data'))).toContain("outside the model's folder");
    expect(refusal(withLocation(''))).toContain("outside the model's folder");
    expect(refusal(withLocation('.'))).toContain("outside the model's folder");
  });

  test('behind a link that leads outside is refused', () => {
    mkdirSync(join(folder, 'model'));
    mkdirSync(join(folder, 'model/sub'));
    const { model, data } = external(vit(), 'w.data');
    writeFileSync(join(folder, 'secret'), data);
    symlinkSync(join(folder, 'secret'), join(folder, 'model/w.data'));
    expect(refusal(save('model/model.onnx', model))).toMatchInlineSnapshot(
      `""…/model/model.onnx": the data of tensor "vit.embeddings.patch_embeddings.projection.weight" should lie in "w.data", a link that leads outside the model's folder. Such a link is refused: it could read any file."`,
    );
    symlinkSync(folder, join(folder, 'model/sub/up'));
    expect(refusal(save('model/model.onnx', external(vit(), 'sub/up/secret').model))).toContain(
      'a link that leads outside',
    );
  });

  test('in the layout of the Hugging Face cache is found', async () => {
    const cache = join(folder, 'models--a--b');
    mkdirSync(join(cache, 'blobs'), { recursive: true });
    mkdirSync(join(cache, 'snapshots/0123/onnx'), { recursive: true });
    const { model, data } = external(vit(), 'model.onnx_data');
    const store = (name: string, content: Uint8Array): void => {
      const hash = createHash('sha256').update(content).digest('hex');
      writeFileSync(join(cache, 'blobs', hash), content);
      symlinkSync(join('../../../blobs', hash), join(cache, 'snapshots/0123/onnx', name));
    };
    store('model.onnx', Buffer.concat(encodeModel(model).map(readBytes)));
    store('model.onnx_data', data);
    const { model: opened } = openOnnx(join(cache, 'snapshots/0123/onnx/model.onnx'));
    expect(difference(await logits(opened), await logits(vit()))).toBe(0);
  });

  test('that is missing, truncated, a folder, or not where it should be', () => {
    const { model, data } = external(vit(), 'w.data');
    const file = save('model.onnx', model);
    expect(refusal(file)).toContain('but that file is missing. Download it too');
    writeFileSync(join(folder, 'w.data'), data.subarray(0, data.length - 1));
    expect(refusal(file)).toMatch(/up to byte \d+, but the file has \d+. It is truncated/);
    rmSync(join(folder, 'w.data'));
    mkdirSync(join(folder, 'w.data'));
    expect(refusal(file)).toContain('but that is not a file');
    for (const [key, value] of [
      ['offset', '-1'],
      ['offset', '1e400'],
      ['length', 'NaN'],
      ['length', '8'],
    ] as const) {
      // prettier-ignore
      rmSync(join(folder, 'w.data'), { recursive: true });
      writeFileSync(join(folder, 'w.data'), data);
      const { model: wrong } = external(vit(), 'w.data');
      wrong.graph!.initializer![0]!.externalData!.find((entry) => entry.key === key)!.value = value;
      expect(refusal(save('model.onnx', wrong))).toMatch(/not whole numbers|bytes, but 8 are stored/);
    }
  });

  test('that shrinks after opening is an error, not zeros', () => {
    const { model, data } = external(vit(), 'w.data');
    writeFileSync(join(folder, 'w.data'), data);
    const { model: opened } = openOnnx(save('model.onnx', model));
    truncateSync(join(folder, 'w.data'), 100);
    const last = opened.graph.initializer!.at(-1)!;
    expect(() => readTensor(last)).toThrow(expect.objectContaining({ code: 'FILE_INVALID' }));
  });

  test('of 5 GB opens at once', ({ skip }) => {
    const file = openSync(join(folder, 'huge.data'), 'w');
    ftruncateSync(file, 5 * 2 ** 30);
    closeSync(file);
    const { size, blocks } = statSync(join(folder, 'huge.data'));
    skip(blocks * 512 > size / 100, 'this file system has no sparse files');
    const layers = Array.from({ length: 5 }, (_, i) => i);
    const model: ModelProto = {
      irVersion: 8,
      opsetImport: [{ domain: '', version: 17 }],
      graph: {
        node: layers.map((i) => ({
          name: `/layer.${i}/MatMul`,
          opType: 'MatMul',
          input: [i === 0 ? 'x' : `y${i - 1}`, `w${i}`],
          output: [`y${i}`],
        })),
        initializer: layers.map((i) => ({
          name: `w${i}`,
          dataType: 1,
          dims: [2 ** 14, 2 ** 14],
          dataLocation: 1,
          externalData: Object.entries({
            location: 'huge.data',
            offset: String(i * 2 ** 30),
            length: String(2 ** 30),
          }).map(([key, value]) => ({ key, value })),
        })),
        input: [{ name: 'x' }],
        output: [{ name: 'y4' }],
      },
    };
    const path = save('huge.onnx', model);
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const { model: opened } = openOnnx(path);
    expect(findSites(opened.graph).map((site) => [site.path, ...site.weightShape])).toEqual(
      layers.map((i) => [`layer.${i}`, 2 ** 14, 2 ** 14]),
    );
    expect(sessionModel(opened).bytes.length).toBeLessThan(2000);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * 2 ** 20);
  });
});

describe('opening', () => {
  test('says what is wrong', () => {
    expect(refusal(join(folder, 'none.onnx'))).toMatchInlineSnapshot(
      `"There is no file "…/none.onnx". Check the path."`,
    );
    expect(refusal(folder)).toMatchInlineSnapshot(`""…" is a folder. Name the .onnx file inside it."`);
    writeFileSync(join(folder, 'empty.onnx'), '');
    expect(refusal(join(folder, 'empty.onnx'))).toContain('holds no ONNX graph');
  });

  test('refuses tensors whose bytes do not fill their shape', () => {
    const model = vit();
    model.graph!.initializer![0]!.dims = [2 ** 31, 2 ** 21];
    expect(refusal(save('model.onnx', model))).toMatch(/needs 18014398509481984 bytes, but \d+ are stored/);
    model.graph!.initializer![0]!.dims = [-4];
    expect(refusal(save('model.onnx', model))).toContain('impossible shape [-4]');
  });
});

describe('writing', () => {
  test('makes one file that computes the same, also over the file that the weights come from', async () => {
    const model = vit();
    const { model: outside, data } = external(model, 'w.data');
    writeFileSync(join(folder, 'w.data'), data);
    const { model: opened } = openOnnx(save('model.onnx', outside));
    expect(writeOnnx(join(folder, 'copy.onnx'), opened)).toEqual([join(folder, 'copy.onnx')]);
    const copy = openOnnx(join(folder, 'copy.onnx')).model;
    writeOnnx(join(folder, 'copy.onnx'), copy);
    rmSync(join(folder, 'w.data'));
    const { model: again } = openOnnx(join(folder, 'copy.onnx'));
    expect(difference(await logits(again), await logits(model))).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['copy.onnx', 'model.onnx']);
  });

  test('leaves the old file and nothing else when it fails', () => {
    const { model: outside, data } = external(vit(), 'w.data');
    writeFileSync(join(folder, 'w.data'), data);
    const { model: opened } = openOnnx(save('model.onnx', outside));
    writeFileSync(join(folder, 'out.onnx'), 'old');
    truncateSync(join(folder, 'w.data'), 10);
    expect(() => writeOnnx(join(folder, 'out.onnx'), opened)).toThrow(
      expect.objectContaining({ name: 'OnnxLoraError' }),
    );
    expect(readFileSync(join(folder, 'out.onnx'), 'utf8')).toBe('old');
    expect(() => writeOnnx(join(folder, 'out.onnx/none/out.onnx'), vit())).toThrow(
      expect.objectContaining({ code: 'FILE_INVALID' }),
    );
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'out.onnx', 'w.data']);
  });

  test('replaces a model together with its weights, or neither', () => {
    const [out, data] = [join(folder, 'out.onnx'), join(folder, 'out.onnx.data')];
    // So few bytes stay in the .onnx file that the weights go beside it.
    const limit = 1000;
    expect(writeOnnx(out, vit(), limit)).toEqual([out, data]);
    const old = readFileSync(data);
    const other = vit();
    other.graph!.initializer!.forEach(
      (tensor) => (tensor.rawData = readBytes(tensor.rawData!).map((byte) => byte ^ 1)),
    );
    // A folder stands where the .onnx file belongs: by then the weights are in their place.
    rmSync(out);
    mkdirSync(join(out, 'inside'), { recursive: true });
    expect(() => writeOnnx(out, other, limit)).toThrow(expect.objectContaining({ code: 'FILE_INVALID' }));
    expect(readFileSync(data).equals(old)).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['out.onnx', 'out.onnx.data']);
    rmSync(out, { recursive: true });
    rmSync(data);
    mkdirSync(join(out, 'inside'), { recursive: true });
    expect(() => writeOnnx(out, other, limit)).toThrow(expect.objectContaining({ code: 'FILE_INVALID' }));
    expect(readdirSync(folder)).toEqual(['out.onnx']);
    rmSync(out, { recursive: true });
    writeFileSync(out, 'old');
    writeOnnx(out, other, limit);
    expect(readFileSync(data).equals(Uint8Array.from(old, (byte) => byte ^ 1))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['out.onnx', 'out.onnx.data']);
  });
});

test('tensors of every storage are read', () => {
  const base = { name: 't', dims: [2] };
  expect([
    ...readTensor({
      ...base,
      dataType: 7,
      int64Data: Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0x80, 1),
    }).data,
  ]).toEqual([-1n, 128n]);
  expect([...readTensor({ ...base, dataType: 10, int32Data: Uint8Array.of(0x80, 0x78, 1) }).data]).toEqual([0x3c00, 1]);
  expect([...readTensor({ ...base, dataType: 9, int32Data: Uint8Array.of(1, 0) }).data]).toEqual([1, 0]);
  expect([
    ...readTensor({ ...base, dataType: 1, floatData: new Uint8Array(Float32Array.of(1.5, -2).buffer) }).data,
  ]).toEqual([1.5, -2]);
  expect([
    ...readTensor(tensorProto('t', { type: 'uint64', dims: [2], data: BigUint64Array.of(2n ** 64n - 1n, 0n) })).data,
  ]).toEqual([2n ** 64n - 1n, 0n]);
  expect(() => readTensor({ ...base, dataType: 7, int64Data: Uint8Array.of(1) })).toThrow(
    expect.objectContaining({ code: 'MODEL_INVALID' }),
  );
  expect(() => readTensor({ ...base, dataType: 8 })).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
});

test('a session is refused what ONNX Runtime cannot load', async () => {
  const model = vit();
  model.graph!.node![0]!.opType = 'NoSuchOperator';
  await expect(cpuSession(model)).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
});
