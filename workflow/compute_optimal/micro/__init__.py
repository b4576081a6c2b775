"""The scale model: small policies and PRMs, trained from scratch on one core in minutes.

``recipes`` says what each model is; ``training.train_model`` makes it, be it a policy, the base
that PRMs grow from, or a PRM. A trained folder is an ordinary Hugging Face checkpoint (safetensors,
``tokenizer.json``) plus ``recipe.json``; nothing later knows that it is small.
"""
