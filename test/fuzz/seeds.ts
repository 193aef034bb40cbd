/** @file Seeds of mutation: small real files of this repository, and some with features that those lack. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { float32, int64 } from '@onnx-lora/sdk';
import { toWave } from '@onnx-lora/speech';
import { GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode, type ModelProto, openOnnx, sessionModel, tensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';

const cases = 'test/fixtures/cases';
const adapters = 'packages/sdk/fixtures/adapters';

/** Every file below `folders` of the repository whose name ends so. */
export function filesEnding(root: string, ending: string, folders: readonly string[] = [cases, adapters]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith(ending))
      .map((name) => path.join(root, folder, name))
      .sort(),
  );
}

/** Whole files below this size are worth mutating; in larger ones most bytes are weights. */
const LARGE = 50_000;

/**
 * Models: small exports as they are; large ones with their weights in another file, `data.bin` in `folder`, which is
 * written; and one with branches and a loop, and operators that compute shapes.
 */
export function modelSeeds(root: string, folder: string): Uint8Array[] {
  const made = path.join(folder, 'made.onnx');
  writeOnnx(made, modelOfManyParts());
  writeFileSync(path.join(folder, 'data.bin'), new Uint8Array(1 << 16));
  return [...filesEnding(root, '.onnx', [cases]), made].map((file) => {
    const bytes = readFileSync(file);
    return bytes.length < LARGE ? Uint8Array.from(bytes) : withoutWeights(file);
  });
}

/** A model whose external data all lie at the beginning of `data.bin`, as far as they fit. */
function withoutWeights(file: string): Uint8Array {
  const { bytes } = sessionModel(openOnnx(file).model);
  const text = Buffer.from(bytes).toString('latin1');
  const name = path.basename(file);
  // The same length, so that enclosing lengths stay valid.
  return Uint8Array.from(Buffer.from(text.replaceAll(name, 'data.bin'.padStart(name.length, './')), 'latin1'));
}

function modelOfManyParts(): ModelProto {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '/m/' });
  const x = { name: 'x', type: 'float32', shape: ['batch', 4, 4] } as const;
  const w = g.constant(float32(Float32Array.from({ length: 32 }, (_, i) => i), [4, 8])); // prettier-ignore
  const y = g.Add(g.MatMul(x, w), g.constant(float32(new Float32Array(8), [8])));
  const gelu = g.Mul(g.Mul(y, g.Add(g.Erf(g.Div(y, Math.SQRT2)), 1)), 0.5);
  const flat = g.Reshape(gelu, g.Concat([g.Slice(g.Shape(x), [0], [1], [0]), g.ints([-1])], 0));
  const padded = g.Pad(g.Slice(g.Transpose(flat, [1, 0]), [1], [9], [0], [2]), [0, 1, 0, 1]);
  const [first] = g.Split(padded, [1, 3], 0);
  const conv = g.emit('Conv', [g.Unsqueeze(x, [0]), g.constant(float32(new Float32Array(8), [1, 2, 2, 2]))], { group: 1, pads: [1, 1, 0, 0] }); // prettier-ignore
  const branch = { name: 'b', node: [{ opType: 'Neg', input: ['x'], output: ['z'] }], output: [{ name: 'z' }] };
  return {
    irVersion: 8,
    producerName: 'seed',
    opsetImport: [{ domain: '', version: 17 }],
    metadataProps: [{ key: 'k', value: 'v' }],
    graph: {
      name: 'g',
      input: [{ name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'batch' }, { dimValue: 4 }, { dimValue: 4 }] } } } }], // prettier-ignore
      output: [first!, conv].map(({ name }) => ({ name })),
      initializer: [...g.initializers, { name: 'v', dims: [3], dataType: 7, int64Data: Uint8Array.of(1, 2, 0x80, 1) }],
      node: [
        ...g.nodes,
        { opType: 'Constant', name: 'c', output: ['c'], attribute: [{ name: 'value', type: 4, t: tensorProto('t', int64([1, 2], [2])) }] }, // prettier-ignore
        { opType: 'ConstantOfShape', output: ['filled'], input: ['c'], attribute: [{ name: 'value', type: 4, t: tensorProto('o', int64([7], [1])) }] }, // prettier-ignore
        { opType: 'Range', output: ['range'], input: ['c', 'c', 'c'] },
        { opType: 'Tile', output: ['tiled'], input: ['filled', 'c'] },
        { opType: 'If', input: ['c'], output: ['if'], attribute: [{ name: 'then_branch', type: 5, g: branch }, { name: 'else_branch', type: 5, g: branch }] }, // prettier-ignore
        { opType: 'Loop', input: ['c', '', 'x'], output: ['loop'], attribute: [{ name: 'body', type: 5, g: branch }] },
      ],
    },
  };
}

/** Manifests of images. */
export function manifestSeeds(): Uint8Array[] {
  return [
    'image,mask,x,y,label,split\r\n1.png,2.png,1.5,2,a,train\r\n2.png,1.png,3,4,"b, c",val\r\n',
    '\uFEFFfile;labels;group\n1.png;a|b;p1\n2.png;;p2\n',
    // Damage in free text leaves a table that can be read.
    `image,label,notes\n1.png,a,"${'A walk by the sea, and what was seen. '.repeat(6)}"\n2.png,a,\n`,
    'image,box,points,sun,rain\n1.png,"1,2,3,4","[[1,2],[3,4]]",0,1\n2.png,,,1,1\n',
  ].map((text) => Buffer.from(text));
}

/** A COCO file with outlines and run lengths of both kinds. */
export function cocoSeed(): Uint8Array {
  const annotations = [
    { id: 1, image_id: 1, category_id: 1, bbox: [1, 2, 3, 4], segmentation: [[1, 2, 9, 2, 9, 8.5, 1, 6], [0, 0, 4, 0, 2, 9]] }, // prettier-ignore
    { id: 2, image_id: 1, category_id: 2, segmentation: { size: [12, 16], counts: [10, 20, 162] }, iscrowd: 1 },
    { id: 3, image_id: 2, category_id: 1, segmentation: { size: [12, 16], counts: 'c1480000000a2' } },
  ];
  const images = [1, 2].map((id) => ({ id, file_name: `${id}.png`, width: 16, height: 12 }));
  const categories = ['cat', 'dog'].map((name, i) => ({ id: i + 1, name }));
  return Buffer.from(JSON.stringify({ images, categories, annotations }));
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

/** Wave files of several kinds of numbers, of one channel and of two. */
export function waveSeeds(): Uint8Array[] {
  const samples = Float32Array.from({ length: 600 }, (_, i) => Math.sin(i / 5));
  const header = (channels: number, code: number, bits: number): Uint8Array => {
    const bytes = Buffer.alloc(44);
    bytes.write('RIFF    WAVEfmt ', 'latin1');
    bytes.write('data', 36, 'latin1');
    const width = channels * (bits / 8);
    for (const [at, value] of [[4, 36 + 600 * width], [16, 16], [24, 16_000], [28, 16_000 * width], [40, 600 * width]] as const) bytes.writeUInt32LE(value, at); // prettier-ignore
    for (const [at, value] of [[20, code], [22, channels], [32, width], [34, bits]] as const) bytes.writeUInt16LE(value, at); // prettier-ignore
    return Buffer.concat([bytes, Buffer.alloc(600 * width, 1)]);
  };
  return [toWave(samples, 16_000), header(2, 1, 16), header(1, 3, 32), header(1, 1, 24)];
}

/** Image processors of every kind of resizing, of small sizes. */
export function preprocessorSeeds(): Uint8Array[] {
  const usual = { do_normalize: true, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], do_rescale: true, rescale_factor: 1 / 255, do_resize: true, resample: 3 }; // prettier-ignore
  return [
    { ...usual, image_processor_type: 'ViTImageProcessor', size: { height: 32, width: 24 } },
    { ...usual, image_processor_type: 'CLIPImageProcessor', size: { shortest_edge: 20 }, do_center_crop: true, crop_size: { height: 16, width: 16 } }, // prettier-ignore
    { ...usual, image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 24 }, crop_pct: 0.875 },
    { ...usual, image_processor_type: 'SamImageProcessor', size: { longest_edge: 32 }, do_pad: true, pad_size: { height: 32, width: 32 }, mask_size: { longest_edge: 16 }, mask_pad_size: { height: 16, width: 16 } }, // prettier-ignore
    { ...usual, image_processor_type: 'SegformerImageProcessor', size: 32, do_reduce_labels: true, size_divisor: 8 },
  ].map(json);
}

/** Feature extractors of each type. */
export function featureSeeds(): Uint8Array[] {
  return [
    { feature_extractor_type: 'WhisperFeatureExtractor', feature_size: 8, sampling_rate: 16_000, hop_length: 160, chunk_length: 1, n_fft: 400, n_samples: 16_000, nb_max_frames: 100, padding_value: 0 }, // prettier-ignore
    { feature_extractor_type: 'Wav2Vec2FeatureExtractor', feature_size: 1, sampling_rate: 16_000, do_normalize: true, return_attention_mask: true, padding_value: 0 }, // prettier-ignore
    { feature_extractor_type: 'ASTFeatureExtractor', feature_size: 1, sampling_rate: 16_000, num_mel_bins: 16, max_length: 64, do_normalize: true, mean: -4.2, std: 4.5, padding_value: 0 }, // prettier-ignore
    { feature_extractor_type: 'SeamlessM4TFeatureExtractor', feature_size: 16, sampling_rate: 16_000, num_mel_bins: 16, stride: 2, padding_value: 1 }, // prettier-ignore
  ].map(json);
}

/** A tokenizer.json of each model that is read. */
export function tokenizerSeeds(): Uint8Array[] {
  const added = [
    { id: 0, content: '[PAD]', special: true },
    { id: 1, content: '[UNK]', special: true },
  ];
  const vocab = Object.fromEntries(['[PAD]', '[UNK]', 'M', 'K', 'T', '##K', '##T', 'A', '##A', '##AA'].map((token, id) => [token, id])); // prettier-ignore
  const base = { version: '1.0', added_tokens: added, normalizer: null, pre_tokenizer: { type: 'Whitespace' }, post_processor: null, decoder: null }; // prettier-ignore
  return [
    { ...base, model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100, vocab } }, // prettier-ignore
    { ...base, model: { type: 'BPE', unk_token: '[UNK]', vocab, merges: ['M K', 'A A'], dropout: null, fuse_unk: false } }, // prettier-ignore
    { ...base, model: { type: 'Unigram', unk_id: 1, vocab: Object.keys(vocab).map((token, i) => [token, -i]) } },
    { ...base, model: { type: 'WordLevel', unk_token: '[UNK]', vocab }, pre_tokenizer: { type: 'Split', pattern: { Regex: '' }, behavior: 'Isolated', invert: false } }, // prettier-ignore
  ].map(json);
}
