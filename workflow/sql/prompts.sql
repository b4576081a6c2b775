-- The prompts that the study's policies are asked with, as the registry holds them.
SELECT prompt, policies, system, user_suffix, template_arguments, source
FROM prompts
ORDER BY prompt;
