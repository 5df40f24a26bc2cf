import type { JudgedClaim } from './explain.ts';

/** What in a job, or in a sign-in, decides what a claim says. */
const remedies: readonly (readonly [RegExp, string])[] = [
  [/^environment(_protected)?$/, 'name the environment in the job: `environment: NAME`'],
  [
    /^(ref|ref_type|ref_protected|head_ref|base_ref|ref_path|pipeline_source_branch)$/,
    'run the job on the branch or tag that the grant is for',
  ],
  [/^(event_name|pipeline_source)$/, 'start the job by the event that the grant is for, such as a push'],
  [
    /^(job_workflow_ref|workflow|workflow_ref|job_workflow_sha|ci_config_ref_uri|ci_config_sha)$/,
    'run the job from the workflow file that the grant is for',
  ],
  [
    /^(repository|repository_id|repository_owner|repository_owner_id|project_path|project_id|namespace_path|namespace_id)$/,
    'run the job in the repository that the grant is for',
  ],
  [/^runner_environment$/, 'run the job on the runners that the grant is for'],
  [
    /^(groups|roles|email|email_verified|hd|tid|preferred_username)$/,
    'ask the administrator of your provider for it, then sign in anew: kleis login',
  ],
  [/^(acr|amr|auth_time)$/, 'sign in anew, in the way that the grant asks for: kleis login'],
  [/^(aud|azp)$/, 'ask for a token with the audience of the broker: --audience'],
  [/^sub$/, 'run it as whom the grant is for: `sub` says which repository, branch or environment that is'],
];

/** For each claim that does not fit, a sentence: what it is, and what to change. */
export function adviceFor(judged: readonly JudgedClaim[]): string[] {
  return judged
    .filter(({ ok }) => !ok)
    .map(({ claim, seen, expected }) => {
      const [, remedy = 'ask the administrator of the broker what it is to be'] =
        remedies.find(([pattern]) => pattern.test(claim)) ?? [];
      const wanted = expected === undefined ? '' : `, and is to be ${expected}`;
      return `${claim} is ${seen}${wanted}: ${remedy}.`;
    });
}
