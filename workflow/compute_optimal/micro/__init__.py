"""The scale model: small policies and PRMs, trained from scratch on one core in minutes.

``recipes`` says what each model is; ``policy_training.train_policy`` and
``prm_training.train_prm`` make it. A trained folder is an ordinary Hugging Face checkpoint
(safetensors, ``tokenizer.json``) plus ``recipe.json``; nothing later knows that it is small.
"""
