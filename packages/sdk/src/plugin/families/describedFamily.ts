/** @file A family from facts, with what a reference page tells of it. */

import type { NamePair } from '../../adapter/naming/nameTable.ts';
import type { ModelFamily } from './family.ts';
import { type FamilySignatures, pairsFrom, matcher, type RoleNames, rolesFrom } from './moduleNames.ts';

/** A family with what people are told of it. */
export interface DescribedFamily extends ModelFamily, FamilySignatures {
  /** What people call it. */
  readonly title: string;
  /** Names of its modules by role, which its patterns and its table of both generations are made from. */
  readonly names: RoleNames;
  /** The paper that describes it, where there is one. */
  readonly paper?: string;
  /** Why its default targets are those: the study, or that there is none. */
  readonly targetsFrom?: string;
  /** The image processors or feature extractors of transformers that its models are published with. */
  readonly preprocessors: readonly string[];
}

/** What a family's file lists. */
export interface FamilyFacts extends Omit<
  DescribedFamily,
  'matches' | 'roles' | 'title' | 'preprocessors' | 'defaultTargets'
> {
  /** What people call it; the name by default. */
  readonly title?: string;
  /** As {@link DescribedFamily.preprocessors}; none by default. */
  readonly preprocessors?: readonly string[];
  /** Roles that are adapted by default; those of {@link queriesAndValues} that it has where none are given. */
  readonly defaultTargets?: readonly string[];
  /** What else transformers 5 renamed: norms and parameters, or modules that no role has. */
  readonly renamed?: readonly NamePair[];
}

/**
 * A family from its facts. `generations`, where given, is taken as it is, for families whose classes differ; otherwise it
 * is one table of all pairs.
 *
 * @example
 * const speaker = describedFamily({
 *   name: 'speaker', domain: 'speech', modelTypes: ['speaker'], signatures: [['^encoder.blocks.{n}']],
 *   names: { 'attention.query': ['attn.q_proj'], 'attention.value': ['attn.v_proj'] },
 *   tasks: ['audio-classification'],
 * });
 */
export function describedFamily({ renamed = [], ...facts }: FamilyFacts): DescribedFamily {
  const pairs = [...pairsFrom(facts.names), ...renamed];
  return {
    ...(pairs.length > 0 ? { generations: [{ pairs }] } : {}),
    ...(facts.defaultTargets ? {} : { targetsFrom: asInLora }),
    ...facts,
    defaultTargets: facts.defaultTargets ?? queriesAndValues.filter((role) => Object.hasOwn(facts.names, role)),
    title: facts.title ?? facts.name,
    preprocessors: facts.preprocessors ?? [],
    matches: matcher(facts),
    roles: rolesFrom(facts.names),
  };
}

/** Queries and values; a layer that holds keys as well is adapted as a whole. */
export const queriesAndValues: readonly string[] = ['attention.query', 'attention.value', 'attention.query-key-value'];

/** The reason for {@link queriesAndValues} where nobody has compared targets for a family. */
export const asInLora =
  'no study of this family; queries and values as in Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685, section 7.1';
