/** @file What a family of this package says of itself, and how that becomes a family of the SDK. */

import {
  type FamilyMarks,
  type ModelFamily,
  type NamePair,
  pairsFrom,
  recogniser,
  type RoleNames,
  rolesFrom,
} from '@onnx-lora/sdk';

/** A family with what the reference page tells of it. */
export interface VisionFamily extends ModelFamily, FamilyMarks {
  /** What people call it. */
  readonly title: string;
  /** Names of its modules by role, which its patterns and its table of both generations are made from. */
  readonly names: RoleNames;
  /** The paper that describes it. */
  readonly paper: string;
  /** Why its default targets are those: the study, or that there is none. */
  readonly targetsFrom: string;
  /** The image processors of transformers that its models are published with. */
  readonly imageProcessors: readonly string[];
}

/** What a family's file lists. */
export interface VisionFamilyFacts extends Omit<VisionFamily, 'domain' | 'recognise' | 'roles'> {
  /** What else transformers 5 renamed: norms and parameters, or modules that no role has. */
  readonly renamed?: readonly NamePair[];
}

/**
 * A family from its facts. `generations`, where given, is taken as it is, for families whose classes differ; otherwise it
 * is one table of all pairs.
 */
export function visionFamily({ renamed = [], ...facts }: VisionFamilyFacts): VisionFamily {
  const pairs = [...pairsFrom(facts.names), ...renamed];
  const recognise = recogniser(facts);
  return {
    ...(pairs.length > 0 ? { generations: [{ pairs }] } : {}),
    ...facts,
    domain: 'vision',
    // transformers' wrapper of timm says only that timm's names follow.
    recognise: ({ config, modulePaths }) =>
      recognise(config && config['model_type'] !== 'timm_wrapper' ? { config, modulePaths } : { modulePaths }),
    roles: rolesFrom(facts.names),
  };
}

/** Queries and values; a layer that holds keys as well is adapted as a whole. */
export const queriesAndValues: readonly string[] = ['attention.query', 'attention.value', 'attention.query-key-value'];

/** The reason for {@link queriesAndValues} where nobody has compared targets for a family. */
export const asInLora =
  'no study of this family; queries and values as in Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685, section 7.1';

/** What can be trained on any backbone, the usual first. */
export const backboneTasks: readonly string[] = [
  'image-classification',
  'multi-label-classification',
  'image-regression',
  'image-embedding',
  'image-retrieval',
];
