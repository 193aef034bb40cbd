/** @file The parsers of foreign bytes, with their inputs and the use of accepted results. */

import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Adapter, loadAdapter, openModel } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { readJsonObject, readModelConfig, readSafetensors, type Random } from '@onnx-lora/sdk/data';
import {
  fromOrtAdapter,
  findSites,
  parseOrtAdapter,
  parseSafetensors,
  parseTensorName,
  placeAdapter,
  selectModules,
  toOrtAdapter,
  weightsDigest,
} from '@onnx-lora/sdk/core';
import {
  inferGraph,
  memorySource,
  type OnnxFile,
  openOnnx,
  parseOnnx,
  readTensor,
  sessionModel,
  scalingOf,
} from '@onnx-lora/sdk/plugin';
import { buildGraphs } from '@onnx-lora/build';
import { openTokenizer, readAnyTable } from '@onnx-lora/sequences';
import { FeatureExtractorFactory, openSpeechTokenizer, AudioFileReader } from '@onnx-lora/speech';
import { classMaskOf, ImagePreprocessorFactory, maskOf, readImageData, ImageFileDecoder } from '@onnx-lora/vision';
import { mutateBytes } from './mutateBytes.ts';
import { mutateFlatBuffer } from './mutateFlatBuffer.ts';
import { mutateJson } from './mutateJson.ts';
import { mutateParquet } from './mutateParquet.ts';
import { mutateProtobuf } from './mutateProtobuf.ts';
import { mutateSafetensors } from './mutateSafetensors.ts';
import {
  cocoSeed,
  featureSeeds,
  filesEnding,
  manifestSeeds,
  modelSeeds,
  preprocessorSeeds,
  tokenizerSeeds,
  waveSeeds,
} from './seeds.ts';

/** One parser under test. */
export interface FuzzTarget {
  readonly seeds: readonly Uint8Array[];
  /** Damages a file once. */
  mutate(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array;
  /** Bytes beyond the limits that a file may take whatever its size, such as for a model's usual input. */
  readonly room?: number;
  /** Parses, and uses accepted results. Throws an OnnxLoraError, or nothing. */
  run(bytes: Uint8Array): Promise<void> | void;
}

/** Makes a target. `folder` is its own, and empty. */
type TargetMaker = (root: string, folder: string) => FuzzTarget;

/** All targets by the name that `--target` takes. */
export const targets: Readonly<Record<string, TargetMaker>> = {
  onnx(root, folder) {
    const file = path.join(folder, 'model.onnx');
    symlinkSync('/etc/hostname', path.join(folder, 'outside'));
    symlinkSync('loop', path.join(folder, 'loop'));
    return {
      seeds: modelSeeds(root, folder),
      mutate: mutateProtobuf,
      async run(bytes) {
        writeFileSync(file, bytes);
        const memory = refusalOf(() => useModel(parseOnnx(memorySource(bytes), file)));
        const model = await openModel(file);
        model.modules();
        useModel(model.onnx.model);
        if (memory) throw memory;
      },
    };
  },

  safetensors(root, folder) {
    const file = path.join(folder, 'x.safetensors');
    return {
      seeds: contents(filesEnding(root, '.safetensors').filter((name) => !name.endsWith('inputs.safetensors'))),
      mutate: mutateSafetensors,
      async run(bytes) {
        writeFileSync(file, bytes);
        const memory = refusalOf(() => void parseSafetensors(bytes, file));
        const { tensors } = await readSafetensors(file);
        for (const name of tensors.keys()) parseTensorName(name);
        if (memory) throw memory;
      },
    };
  },

  'onnx-adapter'(root, folder) {
    const file = path.join(folder, 'x.onnx_adapter');
    return {
      seeds: contents(filesEnding(root, '.onnx_adapter')),
      mutate: mutateFlatBuffer,
      async run(bytes) {
        writeFileSync(file, bytes);
        fromOrtAdapter(parseOrtAdapter(bytes, file), file);
        useAdapter(await loadAdapter(file));
      },
    };
  },

  'adapter-config'(root, folder) {
    const adapter = path.join(root, 'test/fixtures/cases/lora-linear');
    writeFileSync(path.join(folder, 'adapter_model.safetensors'), readFileSync(path.join(adapter, 'adapter/adapter_model.safetensors'))); // prettier-ignore
    const { graph } = openOnnx(path.join(adapter, 'model.onnx')).model;
    const sites = findSites(graph);
    const modules = sites.map(({ path: name, kind }) => ({ path: name, kind }));
    return {
      seeds: contents(filesEnding(root, 'adapter_config.json')),
      mutate: mutateJson,
      async run(bytes) {
        writeFileSync(path.join(folder, 'adapter_config.json'), bytes);
        const loaded = await loadAdapter(folder);
        selectModules(modules, loaded.config, { strict: false });
        placeAdapter(loaded, graph, sites, 'model');
        useAdapter(loaded);
        // Flushing to the disk takes most of the time.
        if (bytes.length % 16 === 0) await loaded.save(path.join(folder, 'saved'), { overwrite: true });
      },
    };
  },

  'adapter-index'(root, folder) {
    const adapter = path.join(root, 'test/fixtures/cases/lora-linear/adapter');
    const shard = 'adapter_model-00001-of-00001.safetensors';
    const bytes = Uint8Array.from(readFileSync(path.join(adapter, 'adapter_model.safetensors')));
    writeFileSync(path.join(folder, shard), bytes);
    writeFileSync(path.join(folder, 'adapter_config.json'), readFileSync(path.join(adapter, 'adapter_config.json')));
    const names = [...parseSafetensors(bytes, shard).tensors.keys()];
    // Every listed tensor must exist, so most damage would be refused; free metadata lets some pass.
    const metadata = { notes: names.map((name) => ({ name })) };
    const index = { metadata, weight_map: Object.fromEntries(names.map((name) => [name, shard])) };
    return {
      seeds: [Buffer.from(JSON.stringify(index))],
      mutate: mutateJson,
      async run(json) {
        writeFileSync(path.join(folder, 'adapter_model.safetensors.index.json'), json);
        useAdapter(await loadAdapter(folder));
      },
    };
  },

  'model-config'(root, folder) {
    return {
      seeds: contents(filesEnding(root, 'config.json', ['docs/examples/models', 'test/fixtures/cases'])),
      mutate: mutateJson,
      run(bytes) {
        writeFileSync(path.join(folder, 'config.json'), bytes);
        readModelConfig(folder);
      },
    };
  },

  checkpoint(root, folder) {
    const names = ['vit-cls', 'swin-cls', 'beit-cls', 'sam', 'clip', 'detr', 'llama-v5config', 'gemma2', 'whisper', 'wavlm-ctc', 'esm2-mlm', 't5-encoder', 'deberta-model']; // prettier-ignore
    for (const name of names) {
      mkdirSync(path.join(folder, name));
      const weights = `${name}/model.safetensors`;
      copyFileSync(path.join(root, 'packages/build/fixtures', weights), path.join(folder, weights));
    }
    const seeds = names.map((name) => readFileSync(path.join(root, 'packages/build/fixtures', name, 'config.json')));
    return {
      // The added field names the weights beside the config.
      seeds: seeds.map((seed, i) => Buffer.concat([Buffer.from(`{"weights":"${names[i]}",`), seed.subarray(seed.indexOf('{') + 1)])), // prettier-ignore
      // Tables of windows and distances.
      room: 64 << 20,
      mutate: mutateJson,
      async run(bytes) {
        const [, name = 'vit-cls'] = /"weights": ?"([\w-]+)"/.exec(Buffer.from(bytes).toString('latin1')) ?? [];
        const own = path.join(folder, names.includes(name) ? name : 'vit-cls');
        writeFileSync(path.join(own, 'config.json'), bytes);
        for (const model of (await buildGraphs(own, { ignore: ['weights'] })).graphs.values()) sessionModel(model);
      },
    };
  },

  'image-manifest'(_root, folder) {
    const file = path.join(folder, 'm.csv');
    for (const name of ['1.png', '2.png']) writeFileSync(path.join(folder, name), name);
    return {
      seeds: manifestSeeds(),
      mutate: mutateBytes,
      async run(bytes) {
        writeFileSync(file, bytes);
        await readImageData(file, { missingImages: 'skip', validation: 0.5 });
      },
    };
  },

  coco(_root, folder) {
    const file = path.join(folder, 'coco.json');
    for (const name of ['1.png', '2.png']) writeFileSync(path.join(folder, name), name);
    const size = { width: 16, height: 12 };
    const numbers = new Map([['cat', 1]]);
    return {
      seeds: [cocoSeed()],
      mutate: mutateJson,
      async run(bytes) {
        writeFileSync(file, bytes);
        const { train } = await readImageData(file, { missingImages: 'skip' });
        for (const record of train) {
          await maskOf(record, size);
          await classMaskOf(record, size, { numbers, background: 0 });
        }
      },
    };
  },

  parquet(root, folder) {
    const file = path.join(folder, 'x.parquet');
    return {
      seeds: contents(filesEnding(root, '.parquet', ['packages/sequences/src/fixtures/parquet'])),
      mutate: mutateParquet,
      async run(bytes) {
        writeFileSync(file, bytes);
        await readAnyTable(file);
      },
    };
  },

  sound(root, folder) {
    const file = path.join(folder, 'x');
    const recorded = ['.flac', '.mp3', '.ogg', '.m4a'].flatMap((ending) => filesEnding(root, ending, ['packages/speech/src/fixtures/sounds'])); // prettier-ignore
    const reader = new AudioFileReader();
    return {
      seeds: [...waveSeeds(), ...contents(recorded)],
      // Decoders that are programs of their own.
      room: 16 << 20,
      // Headers with claimed sizes are at the beginning.
      mutate: (random, bytes, others) => {
        if (random.next() < 0.5) return mutateBytes(random, bytes, others);
        const head = mutateBytes(random, bytes.slice(0, 64), others.map((other) => other.slice(0, 64))); // prettier-ignore
        return Buffer.concat([head, bytes.slice(64)]);
      },
      async run(bytes) {
        writeFileSync(file, bytes);
        await reader.read(file, { end: 0.5 });
      },
    };
  },

  'image-preprocessor'(_root, folder) {
    const factory = new ImagePreprocessorFactory(new ImageFileDecoder());
    const file = path.join(folder, 'preprocessor_config.json');
    const image = { width: 16, height: 12, data: new Uint8Array(3 * 16 * 12) };
    return {
      seeds: preprocessorSeeds(),
      // The usual size of a segmenter's input is 1,024 pixels.
      room: 16 << 20,
      mutate: mutateJson,
      async run(bytes) {
        const preprocessor = factory.create(await objectIn(file, bytes), file);
        preprocessor.tensor(preprocessor.pixels(image));
      },
    };
  },

  'feature-extractor'(_root, folder) {
    const factory = new FeatureExtractorFactory(new AudioFileReader());
    const file = path.join(folder, 'preprocessor_config.json');
    const samples = new Float32Array(2000).map((_, i) => Math.sin(i));
    return {
      seeds: featureSeeds(),
      // Whisper hears 30 seconds where nothing is said.
      room: 16 << 20,
      mutate: mutateJson,
      async run(bytes) {
        const extractor = factory.create(await objectIn(file, bytes), file);
        extractor.batch([extractor.extract(samples)]);
      },
    };
  },

  tokenizer(_root, folder) {
    return {
      seeds: tokenizerSeeds(),
      mutate: mutateJson,
      async run(bytes) {
        writeFileSync(path.join(folder, 'tokenizer.json'), bytes);
        const tokenizer = await openTokenizer({ name: 'x', folder } as TaskModel);
        tokenizer.tokens(`${'MKT '.repeat(20)}${'A'.repeat(3000)}`);
      },
    };
  },

  'ctc-vocabulary'(_root, folder) {
    return {
      seeds: [Buffer.from(JSON.stringify({ '<pad>': 0, '|': 1, a: 2, sch: 3, 'a+': 4, '<unk>': 5 }))],
      mutate: mutateJson,
      async run(bytes) {
        writeFileSync(path.join(folder, 'vocab.json'), bytes);
        (await openSpeechTokenizer(folder)).encode('sch a+ '.repeat(2000));
      },
    };
  },
};

/** The object in a file, as the SDK reads it. */
async function objectIn(file: string, bytes: Uint8Array): Promise<Readonly<Record<string, unknown>>> {
  writeFileSync(file, bytes);
  return (await readJsonObject(file, 1e7, 'a test'))!;
}

function contents(files: readonly string[]): Uint8Array[] {
  return files.map((file) => Uint8Array.from(readFileSync(file)));
}

/** Everything that opening and listing do with a model. */
function useModel(model: OnnxFile['model']): void {
  findSites(model.graph);
  inferGraph(model, { dims: { batch: 2 } });
  for (const tensor of model.graph.initializer ?? []) refusalOf(() => void readTensor(tensor));
  weightsDigest(model.graph);
  sessionModel(model);
}

function useAdapter(adapter: Adapter): void {
  for (const name of adapter.tensors.keys()) scalingOf(adapter.config, parseTensorName(name).module);
  refusalOf(() => void toOrtAdapter(adapter));
}

/** The OnnxLoraError of `work`, returned so that later steps still run. */
function refusalOf(work: () => void): Error | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if ((error as Error).name === 'OnnxLoraError') return error as Error;
    throw error;
  }
}

/** Makes the folder of a target and the target itself. */
export function makeTarget(name: string, root: string, folder: string): FuzzTarget {
  mkdirSync(folder, { recursive: true });
  const { seeds, ...target } = targets[name]!(root, folder);
  // A slice of a Buffer is no copy, and damage would stay in the seed.
  return { ...target, seeds: seeds.map((seed) => Uint8Array.from(seed)) };
}
