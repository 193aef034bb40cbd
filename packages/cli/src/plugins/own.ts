/** @file The plugins that come with the command, of which a call loads those that it needs. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from '@onnx-lora/sdk/plugin';

type Load = () => Promise<Plugin>;

/** Those that know models of one domain, and by which words they are known before any is loaded. */
interface Domain {
  readonly plugins: readonly Load[];
  /** `model_type` in config.json, which decides the family where it is there. */
  readonly modelTypes: readonly string[];
  readonly tasks: readonly string[];
}

/** The names are what the plugins bring, as a test says that goes wrong where they are not. */
export const domains: readonly Domain[] = [
  {
    plugins: [async () => (await import('@onnx-lora/vision')).visionPlugin],
    modelTypes: ['vit', 'vit_msn', 'ijepa', 'deit', 'beit', 'data2vec-vision', 'vit_mae', 'dinov2', 'dinov2_with_registers', 'dinov3_vit', 'dinov3_convnext', 'swin', 'swinv2', 'clip', 'clip_vision_model', 'clip_text_model', 'siglip', 'siglip_vision_model', 'siglip_text_model', 'siglip2', 'siglip2_vision_model', 'siglip2_text_model', 'convnext', 'convnextv2', 'resnet', 'mobilevit', 'mobilevitv2', 'segformer', 'detr', 'sam', 'sam_vision_model', 'sam2', 'sam2_vision_model', 'sam2_hiera_det_model', 'mobile_sam', 'efficient_sam'], // prettier-ignore
    tasks: ['image-classification', 'multi-label-classification', 'image-regression', 'image-embedding', 'image-retrieval', 'image-text', 'semantic-segmentation', 'promptable-segmentation'], // prettier-ignore
  },
  {
    plugins: [async () => (await import('@onnx-lora/speech')).speechPlugin],
    modelTypes: ['whisper', 'moonshine', 'wav2vec2', 'mms', 'hubert', 'wavlm', 'data2vec-audio', 'unispeech', 'unispeech-sat', 'sew', 'wav2vec2-conformer', 'wav2vec2-bert', 'audio-spectrogram-transformer'], // prettier-ignore
    tasks: ['speech-recognition', 'audio-classification', 'audio-tagging', 'audio-regression', 'audio-embedding', 'audio-retrieval'], // prettier-ignore
  },
  {
    plugins: [
      async () => (await import('@onnx-lora/science')).sciencePlugin,
      async () => (await import('@onnx-lora/text')).textPlugin,
    ],
    modelTypes: ['esm', 'esmc', 'ESMplusplus', 'molformer', 'evoformer', 'bert', 'ernie', 'roberta', 'xlm-roberta', 'camembert', 'data2vec-text', 'mpnet', 'distilbert', 'electra', 'albert', 'deberta-v2', 'deberta', 'modernbert', 't5', 'mt5', 'llama', 'granite', 'seed_oss', 'mistral', 'ministral', 'qwen2', 'qwen3', 'gemma', 'gemma2', 'gemma3', 'gemma3_text', 'smollm3', 'phi3', 'phi', 'mixtral', 'qwen2_moe', 'qwen3_moe', 'gpt2', 'gpt_neox', 'opt', 'bloom', 'falcon'], // prettier-ignore
    tasks: ['sequence-classification', 'sequence-labelling', 'sequence-regression', 'masked-language-modelling', 'residue-classification', 'residue-regression', 'sequence-embedding', 'sequence-retrieval', 'variant-effect', 'mutation-scan', 'text-classification', 'text-labelling', 'text-regression', 'text-embedding', 'text-retrieval', 'text-reranking', 'token-classification', 'question-answering', 'masked-text-modelling', 'chat', 'preferences', 'multiple-choice'], // prettier-ignore
  },
];

const methods: Load = async () => (await import('@onnx-lora/methods')).methodsPlugin;
const build: Load = async () => (await import('@onnx-lora/build')).buildPlugin;

/** Commands that ask one model, or change it, with its task and its adapters; others may name anything. */
const ofOneModel: ReadonlySet<string> = new Set(['inspect', 'predict', 'chat', 'serve', 'merge', 'unmerge', 'export']);

/** A call, as far as it says what it is about. */
export interface OneCall {
  readonly command: string;
  /** The model and the task, where it names them. */
  readonly model: unknown;
  readonly task: unknown;
  /** Whether adapters may come in, of whatever kind, or are planned. */
  readonly adapts: boolean;
}

/** The plugins that a call needs: those of the model's domain, where the call is about one model and its folder says which. */
export function ownPlugins({ command, model, task, adapts }: OneCall): Promise<Plugin[]> {
  if (typeof model !== 'string' || !ofOneModel.has(command)) return allOwnPlugins();
  const type = modelType(model);
  const domain = domains.find(({ modelTypes }) => type !== undefined && modelTypes.includes(type));
  if (!domain || (task !== undefined && !domain.tasks.includes(task as string))) return allOwnPlugins();
  return loaded([...domain.plugins, ...(adapts ? [methods] : []), ...(holdsGraph(model) ? [] : [build])]);
}

/** All of them, in the order in which their families are asked. */
export function allOwnPlugins(): Promise<Plugin[]> {
  return loaded([...domains.flatMap(({ plugins }) => plugins), methods, build]);
}

function loaded(plugins: readonly Load[]): Promise<Plugin[]> {
  return Promise.all(plugins.map((load) => load()));
}

/** Whether a folder has its graph, as files are published, so that nothing need build it. */
export function holdsGraph(folder: string): boolean {
  return ['onnx', 'model.onnx'].some((name) => existsSync(path.join(folder, name)));
}

/** What is wrong with the file is told by who opens the model. */
function modelType(folder: string): string | undefined {
  const file = path.join(folder, 'config.json');
  try {
    const { model_type: type } = JSON.parse(readFileSync(file, 'utf8')) as { model_type?: unknown };
    return typeof type === 'string' ? type : undefined;
  } catch {
    return undefined;
  }
}
