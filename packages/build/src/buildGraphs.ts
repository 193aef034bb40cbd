/** @file Builds the graphs of a checkpoint: reads headers only, and refuses unknown config fields. */

import path from 'node:path';
import {
  didYouMean,
  type Generation,
  type ModelFamily,
  transformersGeneration,
  type ModelProto,
} from '@onnx-lora/sdk/plugin';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Architecture } from './architecture.ts';
import { architectures as known } from './architectures/index.ts';
import { Config } from './checkpoint/config.ts';
import { ModuleNames } from './checkpoint/moduleNames.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint/openCheckpoint.ts';
import { count, listed, Weights } from './checkpoint/weights.ts';
import { Graph, type GraphForm, type WeightType } from './layers/graph.ts';
import { Module } from './layers/module.ts';

/** Options of {@link buildGraphs}. */
export interface BuildOptions {
  /** Version of the standard operators, 17 (the default) to 22. */
  readonly opset?: number;
  /** Storage type of weights: as in the checkpoint (`stored`, the default), `float32` or `float16`. */
  readonly weights?: WeightType;
  /** The transformers class to build, if not the one in config.json: `T5EncoderModel`. */
  readonly architecture?: string;
  /** `plain` (the default): ONNX operators only, for any runtime. `fused`: ONNX Runtime's too, for inference. */
  readonly form?: GraphForm;
  /** Tensors and config fields to build without. */
  readonly ignore?: readonly string[];
  /** Own architectures, which take precedence over the known ones. */
  readonly architectures?: readonly Architecture[];
  /** Families that know the module names of transformers 4 and 5; without a match modules have those of 4. */
  readonly families?: readonly ModelFamily[];
  /** The transformers version of the modules' names: by default that in `transformers_version`, or else 4. */
  readonly names?: Generation;
}

/** Result of {@link buildGraphs}. */
export interface BuiltGraphs {
  /** The transformers class of the graphs. */
  readonly architecture: string;
  /** Graphs by file name without extension: `model`, or `vision_encoder` and others. */
  readonly graphs: ReadonlyMap<string, ModelProto>;
  /** Tensors of the checkpoint that the class does not use: other heads, a pooler. */
  readonly leftOut: readonly string[];
  /** The config fields that the graphs depend on, by path. */
  readonly config: Readonly<Record<string, unknown>>;
}

const forms: readonly GraphForm[] = ['plain', 'fused'];
const OLDEST_OPSET = 17;
/** The newest opset of current ONNX Runtime. */
const NEWEST_OPSET = 22;

/**
 * Builds the ONNX graphs of a checkpoint. Weights are read when a graph runs or is written.
 * @param folder with `config.json` and `model.safetensors`, or its shards and their index
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an unknown architecture or config value; `FILE_INVALID` for missing,
 *   superfluous or misshapen tensors, and for pickles; `FILE_NOT_FOUND`; `CONFIG_INVALID`
 */
export async function buildGraphs(folder: string, options: BuildOptions = {}): Promise<BuiltGraphs> {
  const { opset = OLDEST_OPSET, form = 'plain', ignore = [], families = [] } = options;
  if (!Number.isInteger(opset) || opset < OLDEST_OPSET || opset > NEWEST_OPSET) {
    const message = `A graph is built in opset ${OLDEST_OPSET} to ${NEWEST_OPSET}, not in ${opset}. Leave the opset out.`;
    throw new OnnxLoraError('CONFIG_INVALID', message);
  }
  if (!forms.includes(form)) {
    const message = `The form of a graph is ${forms.join(' or ')}, not ${JSON.stringify(form)}. Leave it out for plain.`;
    throw new OnnxLoraError('CONFIG_INVALID', message);
  }
  if (options.names !== undefined && options.names !== 4 && options.names !== 5) {
    const message = `names is 4 or 5, the version of transformers whose names modules get, not ${String(options.names)}. Leave it out for the version in config.json.`;
    throw new OnnxLoraError('CONFIG_INVALID', message);
  }
  const checkpoint = await openCheckpoint(folder);
  const file = path.join(folder, 'config.json');
  const config = new Config(checkpoint.config, file);
  const architecture = architectureOf(checkpoint, file, options.architectures ?? []);
  const name = classOf(checkpoint, file, architecture, options.architecture);
  const { prefix, others, copies } = architecture;
  const family = families.find((each) => each.matches({ config: checkpoint.config, modulePaths: [] }));
  const names = new ModuleNames(name, family, options.names ?? transformersGeneration(checkpoint.config) ?? 4);
  const weights = new Weights(checkpoint, {
    ...(prefix === undefined ? {} : { prefix }),
    names,
    ...(copies && { copies }),
  });
  const graphs = emitted(weights, file, () => {
    const definition = architecture.classes[name]!(config, checkpoint);
    return Object.entries(definition).map(([graphName, emit]) => {
      const graph = new Graph(weights, { opset, weights: options.weights ?? 'stored', form, names });
      emit(new Module(graph, ''));
      return [graphName, graph.model(graphName)] as const;
    });
  });
  requireAllRead(config, file, ignore);
  weights.requireComplete();
  const left = weights.leftOver().filter((each) => !ignore.includes(each));
  const unknown = left.filter((each) => !others?.test(each));
  if (unknown.length > 0) {
    throw new OnnxLoraError(
      'FILE_INVALID',
      `The checkpoint "${folder}" holds ${count(unknown.length, 'tensor')} that ${name} does not have: ${listed(unknown)}. The class in config.json may be another than that of the weights. To build without them, name them: --ignore ${unknown[0]}.`,
    );
  }
  return { architecture: name, graphs: new Map(graphs), leftOut: left, config: config.taken() };
}

/** Maps a RangeError or TypeError from inconsistent config sizes to an OnnxLoraError. */
function emitted<T>(weights: Weights, file: string, emit: () => T): T {
  try {
    return emit();
  } catch (cause) {
    if (!(cause instanceof RangeError || cause instanceof TypeError)) throw cause;
    weights.requireComplete();
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The sizes in "${file}" do not go together: ${cause.message}. Use the config.json that the weights were saved with.`,
      { cause },
    );
  }
}

function architectureOf({ config }: Checkpoint, file: string, own: readonly Architecture[]): Architecture {
  const type = config['model_type'];
  const all = [...own, ...known];
  const found = all.find(({ modelType }) => modelType === type);
  if (found) return found;
  const names = [...new Set(all.map(({ modelType }) => modelType))];
  const said = typeof type === 'string' ? type : undefined;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${file}" says "model_type": ${JSON.stringify(type ?? null)}, and no such architecture can be built.${said === undefined ? '' : didYouMean(said, names)} Known are ${names.join(', ')}. Export the model with torch, for example with optimum-cli export onnx, or write the architecture as a plugin.`,
  );
}

function classOf(
  { config }: Checkpoint,
  file: string,
  { classes, modelType }: Architecture,
  given: string | undefined,
): string {
  const names = Object.keys(classes);
  const said: unknown = config['architectures'];
  const asked: unknown = given ?? (Array.isArray(said) ? said[0] : undefined);
  if (asked === undefined || asked === null) return names[0]!;
  const found = names.find((name) => typeof asked === 'string' && name.toLowerCase() === asked.toLowerCase());
  if (found !== undefined) return found;
  const source =
    given === undefined ? `"${file}" says "architectures": ${JSON.stringify(said)}` : `"${given}" is asked for`;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `${source}, and of ${modelType} can be built ${names.join(', ')}. Name one of these (--class ${names[0]}), or export the model with torch.`,
  );
}

function requireAllRead(config: Config, file: string, ignore: readonly string[]): void {
  const unread = config.unread().filter((name) => !ignore.includes(name));
  if (unread.length === 0) return;
  const said = unread.map((name) => `"${name}": ${config.shown(name)}`);
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${file}" asks for ${listed(said)}. This is not known here, and might change what the model computes. If it does not, build without it: --ignore ${unread[0]}.`,
  );
}
