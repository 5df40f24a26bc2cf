import { compilePolicy as inSteps, type CompiledPolicy, type PolicySource } from '../../broker/policy/compile.ts';
import { finish } from '../../shared/steps.ts';

/** All of it at once. */
export function compilePolicy(source: PolicySource): CompiledPolicy {
  return finish(inSteps(source));
}
